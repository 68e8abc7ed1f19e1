// What the Fastify peers do about each request: pino writes one line, asynchronously, which is the
// fastest of its ways, and prom-client counts it into a histogram.
import { LogController } from 'fastify'
import pino from 'pino'
import { Histogram } from 'prom-client'

const seconds = new Histogram({
  name: 'request_seconds',
  help: 'Time of a request',
  labelNames: ['route', 'method', 'status']
})

// Options of Fastify: one line a request instead of its two.
export const logging = {
  logController: new LogController({ disableRequestLogging: true }),
  logger: { stream: pino.destination({ dest: process.env.ACCESS_LOG, minLength: 4096, sync: false }) }
}

// Log and count each request of an application, with the caller of `request.session`.
export function observe (app) {
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
  // pino writes its last lines when the process exits.
  process.once('SIGTERM', () => process.exit())
}
