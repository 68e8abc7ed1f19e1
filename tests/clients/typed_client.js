// A client with types, as generators make them: an object has all documented properties, those that
// are not set are null, and the serializer writes them. What the gateway answers is sent back to it.
// Prints the answers as JSON.

const { URL: base, TOKEN: token } = process.env;

class Appointment {
  appt_id = null;
  appt_confirmed = null;
  appt_duration_time = null;
  appt_start_at = null;
  appt_stop_at = null;
  cancel_reason = null;
  cancel_note = null;
}

class Order {
  notes = null;
  delivery_rush = null;
  due_date = null;
  external_id = null;
  service_type = null;
  services_addon_array = null;
  cancel_reason = null;
  cancel_note = null;
}

class OrderStage {
  token = token;
  application = null;
  application_view = null;
  session_view = null;
  order_id = null;
  order_request_id = null;
  update_status = true;
  stage = null;
  stage_trigger = null;
  stage_at_mt = null;
  created_at_mt = null;
  created_by_id = null;
  created_by = null;
  appointment = new Appointment();
  client = null;
  order = new Order();
  notes = null;
  updated_by = null;
  updated_by_id = null;
  notified_at_mt = null;
  event_slug = null;
}

class Status {
  name = null;
  url = null;
  color = null;
  send_mail = null;
  mail_template = null;
  change_type = null;
}

async function send(method, path, body) {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const answer = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  return answer.json();
}

const create = (stage) => send('POST', '/api/v1/order_stages/create', stage);

async function main() {
  const created = await create(Object.assign(new OrderStage(), { order_id: 7, stage: 'scheduled' }));
  const stage = created.data && created.data.order_stage;
  const answers = {
    created,
    // The answer has more properties than the params, and each that is not set is null.
    sentBack: await create({ ...new OrderStage(), ...stage, ...(created.data && created.data.order_status) }),
    incomplete: await create(new OrderStage()),
    read: await send('POST', '/api/v1/order_statuses/read', { token, order_id: null, order_request_id: 1007 }),
    history: await send('POST', '/api/v1/order_stages/history', { token, order_id: 7, order_request_id: null, page: null, count: null }),
    status: await send('POST', '/services/statuses', { status: Object.assign(new Status(), { name: 'Nowe' }) }),
    changed: await send('PUT', '/services/statuses/3', { status: Object.assign(new Status(), { color: '2' }) }),
  };
  console.log(JSON.stringify(answers));
}

main().catch((error) => { console.error(error); process.exit(1); });
