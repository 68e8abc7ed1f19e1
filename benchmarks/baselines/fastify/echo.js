// A bare echo in Fastify with ajv and fast-json-stringify: no token, no log and no count.
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'

const body = JSON.parse(readFileSync(new URL('../../../schemas/order_stages/create.json', import.meta.url)))
delete body.$schema
const echoed = { type: 'object', properties: body.properties }

// Not strict: the schema has the gateway's own keywords.
const app = Fastify({ ajv: { customOptions: { strict: false } } })
app.post('/api/v1/bench/echo', { schema: { body, response: { 200: echoed } } }, async (request) => request.body)

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
