// The create and the list in Fastify with ajv, fast-json-stringify and pg's pool, as its documentation
// shows. Each request is logged and counted, as the gateway does; unlike the gateway, it does not record
// when a session was last used.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import Fastify from 'fastify'
import pg from 'pg'
import { logging, observe } from './observe.js'

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')
const SQL = Object.fromEntries(
  readdirSync(new URL('../sql/', import.meta.url)).map((file) => [file.slice(0, -4), read(`../sql/${file}`)])
)
const ROLES = ['employee', 'liaison']
const [MAX_AGE, MAX_IDLE] = [7 * 86400e3, 3 * 86400e3]

const address = new URL(process.env.DATABASE_URL.replace('@/', '@localhost/'))
const connections = Number(process.env.CONNECTIONS ?? 16)
const pool = new pg.Pool({
  host: address.searchParams.get('host') ?? address.hostname,
  port: Number(address.searchParams.get('port') ?? (address.port || 5432)),
  user: address.username,
  password: decodeURIComponent(address.password),
  database: address.pathname.slice(1),
  min: connections,
  max: connections
})
pg.types.setTypeParser(20, Number)

const body = JSON.parse(read('../../../schemas/order_stages/create.json'))
delete body.$schema
const row = { type: 'object', additionalProperties: true }
const columns = ['id', 'uuid', 'name', 'url', 'color', 'send_mail', 'mail_template', 'change_type', 'created_at', 'updated_at']
const status = { type: 'object', properties: Object.fromEntries(columns.map((name) => [name, { type: 'string' }])) }
const created = {
  type: 'object',
  properties: {
    code: { type: 'integer' },
    status: { type: 'string' },
    data: { type: 'object', properties: { order_stage: row, order_status: { ...row, nullable: true } } }
  }
}
const querystring = {
  type: 'object',
  properties: {
    created_at_min: { type: 'string' },
    limit: { type: 'integer', minimum: 1, maximum: 250, default: 50 },
    page: { type: 'integer', minimum: 1, default: 1 }
  }
}

// Not strict: the schema has the gateway's own keywords.
const app = Fastify({ ...logging, ajv: { customOptions: { strict: false } } })
observe(app)
const query = async (client, name, values) => (await client.query({ name, text: SQL[name], values })).rows

const refuse = (code, slug) => Object.assign(new Error(slug), { statusCode: code })

async function authenticate (client, request) {
  const token = request.headers.authorization?.slice('Bearer '.length) ?? ''
  const [session] = await query(client, 'session', [createHash('sha256').update(token).digest()])
  if (!session) throw refuse(401, 'invalid-token')
  const expired = Date.now() - session.created_at > MAX_AGE || Date.now() - session.last_used_at > MAX_IDLE
  if (expired && !session.remember_me) throw refuse(401, 'session-expired')
  request.session = session
  return session
}

async function withClient (work) {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release()
  }
}

async function transaction (client, work) {
  await client.query('begin')
  try {
    const result = await work()
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

async function write (client, params, session) {
  const { appointment = {}, client: clientFields = {}, order: orderFields = {} } = params
  const [order] = await query(client, 'order', [params.order_id, params.order_request_id])
  if (!order) throw refuse(400, 'invalid-param')
  const name = `${session.first_name} ${session.last_name}`
  const [stage] = await query(client, 'stage', [
    order.order_id, order.order_request_id, params.stage, params.stage_trigger, params.stage_at_mt,
    params.created_at_mt, params.created_by_id ?? session.user_id, params.created_by ?? name,
    params.notes, params.event_slug, params.notified_at_mt
  ])
  if (!params.update_status) return { order_stage: stage, order_status: null }
  const code = clientFields.client_billing_postal_code
  const addons = orderFields.services_addon_array
  const [written] = await query(client, 'status', [
    order.order_request_id, order.order_id, stage.id, stage.stage, stage.stage_trigger,
    stage.stage_start_at, clientFields.client_id ?? order.client_id,
    code === undefined ? order.billing_postal_code : String(code).padStart(5, '0'),
    params.updated_by_id ?? session.user_id, params.updated_by ?? name,
    appointment.appt_id, appointment.appt_confirmed, appointment.appt_duration_time,
    appointment.appt_start_at, appointment.appt_stop_at, appointment.cancel_reason,
    appointment.cancel_note, orderFields.notes, orderFields.delivery_rush, orderFields.due_date,
    orderFields.external_id, orderFields.service_type, addons && JSON.stringify(addons),
    orderFields.cancel_reason, orderFields.cancel_note
  ])
  return { order_stage: stage, order_status: written }
}

app.post('/api/v1/order_stages/create', { schema: { body, response: { 200: created } } }, (request) =>
  withClient(async (client) => {
    const session = await authenticate(client, request)
    const permitted = session.application === 'planoorder' && session.roles.some((role) => ROLES.includes(role))
    if (!permitted) throw refuse(403, 'permission-denied')
    const data = await transaction(client, () => write(client, request.body, session))
    return { code: 200, status: 'action-successful', data }
  })
)

const list = { type: 'object', properties: { statuses: { type: 'array', items: status } } }
app.get('/services/statuses', { schema: { querystring, response: { 200: list } } }, (request) =>
  withClient(async (client) => {
    await authenticate(client, request)
    const { created_at_min: after, limit, page } = request.query
    const statuses = await query(client, 'statuses', [after && `${after}+00`, limit, (page - 1) * limit])
    return { statuses }
  })
)

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
