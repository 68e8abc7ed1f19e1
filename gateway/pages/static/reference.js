// Swagger UI on the document that the page names.

const element = document.getElementById("swagger-ui");

// A layout of our own: the usual one has a second <main>, and repeats the page's title and address.
function layoutPlugin({ React }) {
  const create = React.createElement;
  function ReferenceLayout({ getComponent, specSelectors }) {
    const part = (name) => create(getComponent(name, true));
    const wrapper = (...children) => create("div", { className: "wrapper" }, ...children);
    if (specSelectors.loadingStatus() === "failed") {
      return create("p", null, "The document cannot be loaded: open it with the link above.");
    }
    return create(
      "div", { className: "swagger-ui" },
      part("SvgAssets"),
      wrapper(part("errors")),
      wrapper(part("AuthorizeBtnContainer")),
      part("FilterContainer"),
      wrapper(part("operations")),
      wrapper(part("Models")),
    );
  }
  // Plain text: a keyboard cannot reach a link inside the button that opens an operation.
  const DeepLink = ({ text }) => create("span", null, text);
  return { components: { ReferenceLayout, DeepLink } };
}

// Swagger UI gives its choices and tables no names, and a keyboard cannot scroll its examples.
function addAccessibility() {
  for (const select of element.querySelectorAll("select:not([aria-label])")) {
    const name = select.classList.contains("content-type") ? "Content type" : "Example";
    select.setAttribute("aria-label", name);
  }
  for (const code of element.querySelectorAll("pre:not([tabindex])")) code.tabIndex = 0;
  for (const table of element.querySelectorAll("table[role=region]:not([aria-label])")) {
    const operation = table.closest(".opblock");
    const [method, path] = ["method", "path"].map((part) => operation.querySelector(`.opblock-summary-${part}`).textContent);
    const number = [...operation.querySelectorAll("table[role=region]")].indexOf(table);
    table.setAttribute("aria-label", `Responses of ${method} ${path}${number ? `, ${number + 1}` : ""}`);
  }
}

new MutationObserver(addAccessibility).observe(element, { childList: true, subtree: true });

SwaggerUIBundle({
  domNode: element,
  url: element.dataset.document,
  plugins: [layoutPlugin],
  layout: "ReferenceLayout",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
});
