// A gateway as one would write it with Fastify and undici: token, role, schema, signature, call.
import { createHmac, randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { Pool } from 'undici'

const { TOKEN, TOURS_SECRET, UPSTREAM, PORT } = process.env
const key = Buffer.from(TOURS_SECRET.replace('whsec_', ''), 'base64')
const sessions = new Map([[TOKEN, { user_id: 1, application: 'planoorder', role: 'employee' }]])
const service = new Pool(UPSTREAM, { connections: 128 })
const app = Fastify()
const body = {
  type: 'object',
  required: ['city'],
  properties: { city: { type: 'string' }, notes: { type: 'string', maxLength: 1000 } }
}

app.post('/api/v1/tours/book', { schema: { body } }, async (request, reply) => {
  const caller = sessions.get(request.headers.authorization?.replace('Bearer ', ''))
  if (caller?.role !== 'employee') return reply.code(401).send({})
  const content = JSON.stringify({ params: request.body, caller })
  const id = randomUUID()
  const now = String(Math.floor(Date.now() / 1000))
  const digest = createHmac('sha256', key).update(`${id}.${now}.${content}`).digest('base64')
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': now,
    'webhook-signature': `v1,${digest}`
  }
  const answer = await service.request({ path: '/tours/book', method: 'POST', headers, body: content })
  return { code: 200, status: 'action-successful', data: (await answer.body.json()).data }
})

await app.listen({ host: '127.0.0.1', port: Number(PORT) })
