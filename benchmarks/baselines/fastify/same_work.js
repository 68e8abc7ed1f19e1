// The gateway's no-op in Fastify: bearer-auth, ajv, fast-json-stringify, pino and prom-client, each as
// its documentation shows.
import { readFileSync } from 'node:fs'
import bearerAuth from '@fastify/bearer-auth'
import Fastify from 'fastify'
import { logging, observe } from './observe.js'

const { PORT, TOKENS } = process.env
const ROLES = ['employee', 'liaison']
const sessions = new Map(
  TOKENS.split(' ').map((token) => [token, { user_id: 1, application: 'planoorder', roles: ['employee'] }])
)
const body = JSON.parse(readFileSync(new URL('../../../schemas/order_stages/create.json', import.meta.url)))
delete body.$schema
const answer = {
  type: 'object',
  properties: {
    code: { type: 'integer' },
    status: { type: 'string' },
    data: { type: 'object', properties: body.properties }
  }
}

// Not strict: the schema has the gateway's own keywords. The gateway converts no values either.
const app = Fastify({ ...logging, ajv: { customOptions: { strict: false, coerceTypes: false } } })
observe(app)
await app.register(bearerAuth, {
  keys: [],
  verifyErrorLogLevel: 'debug',
  auth: (token, request) => {
    request.session = sessions.get(token) ?? null
    return request.session !== null
  }
})

function permitted ({ session }, reply, done) {
  if (session.application === 'planoorder' && session.roles.some((role) => ROLES.includes(role))) return done()
  reply.code(403)
  done(new Error('permission-denied'))
}

app.post('/api/v1/bench/echo', { onRequest: permitted, schema: { body, response: { 200: answer } } }, async (request) =>
  ({ code: 200, status: 'action-successful', data: request.body })
)

await app.listen({ host: '127.0.0.1', port: Number(PORT) })
