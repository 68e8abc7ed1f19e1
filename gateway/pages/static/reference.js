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
  return { components: { ReferenceLayout } };
}

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
