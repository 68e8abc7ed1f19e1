// The service `tours` for Node: it verifies each call, and answers as the gateway expects.
import Fastify from "fastify";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.TOURS_SECRET);
const places = { Denver: 2 };
const app = Fastify();

// The signature is that of the bytes, so the body is verified before it is parsed.
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "string" }, async (request, body) => {
  try {
    return webhook.verify(body, request.headers);
  } catch {
    throw Object.assign(new Error("the signature is not valid"), { statusCode: 401 });
  }
});

app.get("/healthz", async () => ({ well: true }));

app.post("/tours/book", async ({ body: { params, caller } }, reply) => {
  if (!(params.city in places)) {
    const errors = [{ attr: "city", message: "has no tour" }];
    return reply.code(400).send({ status: "invalid-param", errors });
  }
  if (places[params.city] === 0) return reply.code(409).send({ status: "tour-full" });
  places[params.city] -= 1;
  return { data: { city: params.city, left: places[params.city], booked_by: caller.user_id } };
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 9000) });
