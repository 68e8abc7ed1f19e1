// The gateway's no-op in Fastify: bearer-auth, ajv, fast-json-stringify, pino and prom-client, each as
// its documentation shows; pino writes asynchronously, the fastest of its ways.
import { readFileSync } from 'node:fs'
import bearerAuth from '@fastify/bearer-auth'
import Fastify, { LogController } from 'fastify'
import pino from 'pino'
import { Histogram } from 'prom-client'

const { ACCESS_LOG, PORT, TOKENS } = process.env
const ROLES = ['employee', 'liaison']
const sessions = new Map(
  TOKENS.split(' ').map((token) => [token, { user_id: 1, application: 'planoorder', roles: ['employee'] }])
)
const seconds = new Histogram({
  name: 'request_seconds',
  help: 'Time of a request',
  labelNames: ['route', 'method', 'status']
})
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

const app = Fastify({
  // Not strict: the schema has the gateway's own keywords. The gateway converts no values either.
  ajv: { customOptions: { strict: false, coerceTypes: false } },
  // One line a request instead of Fastify's two.
  logController: new LogController({ disableRequestLogging: true }),
  logger: { stream: pino.destination({ dest: ACCESS_LOG, minLength: 4096, sync: false }) }
})
app.decorateRequest('session', null)
app.addHook('onResponse', (request, reply, done) => {
  const { method, session } = request
  const route = request.routeOptions.url
  const ms = reply.elapsedTime
  seconds.observe({ route, method, status: reply.statusCode }, ms / 1000)
  const caller = session && `user:${session.user_id}`
  request.log.info({ method, path: request.url, route, caller, address: request.ip, code: reply.statusCode, ms }, 'request')
  done()
})
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

// pino writes its last lines when the process exits.
process.once('SIGTERM', () => process.exit())
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
