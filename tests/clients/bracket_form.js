// Sends nested params as forms: the brackets of `qs`, in each of the styles that it has for lists,
// with the empty fields that a web form always sends. Prints the answers as JSON.

const qs = require('qs');

const url = `${process.env.URL}/api/v1/order_stages/create`;

const params = {
  token: process.env.TOKEN,
  order_id: 7,
  order_request_id: '',
  update_status: true,
  stage: 'scheduled & confirmed',
  stage_at_mt: '11/28/2026 8:00:00 PM',
  created_by_id: '',
  created_by: '',
  event_slug: '',
  notified_at_mt: '',
  appointment: { appt_id: 12, appt_confirmed: 'yes', cancel_note: '' },
  client: { client_id: '', client_billing_postal_code: '02134' },
  order: { notes: 'brama [główna]', delivery_rush: false, services_addon_array: ['drone', 'video'] },
};

async function main() {
  const answers = {};
  for (const arrayFormat of ['indices', 'brackets', 'comma']) {
    const body = new URLSearchParams(qs.stringify(params, { arrayFormat }));
    answers[arrayFormat] = await (await fetch(url, { method: 'POST', body })).json();
  }
  console.log(JSON.stringify(answers));
}

main().catch((error) => { console.error(error); process.exit(1); });
