// Drives the published Node client of Shoplo, `shoplo-client`, through a status's whole life.
//
// The client always speaks HTTPS to port 443 and signs with OAuth 1. Two things are therefore set
// outside of it, and nothing in it: TLS ends here, where a deployment has its proxy, and its OAuth
// library sends the gateway's token in the header. Paths, bodies, headers and the reading of answers
// are the client's own. Prints its answers as JSON.

const http = require('http');
const https = require('https');
const ShoploClient = require('shoplo-client');
const StatusResource = require('shoplo-client/resources/status');

const { hostname, port } = new URL(process.env.URL);

https.request = (options, callback) => http.request({ ...options, hostname, host: hostname, port, agent: null }, callback);

function clientWith(token) {
  const options = { clientKey: 'key', clientSecret: 'secret', callbackUrl: 'https://shop.example/back' };
  const shoplo = new ShoploClient({ ...options, apiHost: 'api.shoplo.example' });
  if (token) shoplo.client.oauthClient._headers.Authorization = `Bearer ${token}`;
  shoplo.client = shoplo.client.auth('access-token', 'secret-token');
  return shoplo;
}

function refusal(promise) {
  return promise.then(
    () => { throw new Error('the gateway did not refuse'); },
    (error) => ({ code: error.statusCode, body: JSON.parse(error.data) }),
  );
}

async function main() {
  const statuses = new StatusResource(clientWith(process.env.TOKEN));
  const sample = { name: 'Nowe', url: 'nowe', color: '1', send_mail: '1', mail_template: '1', change_type: '0' };
  const answers = {
    list: (await statuses.getStatuses(null, { limit: 2, fields: 'id,name' })).body,
    one: (await statuses.getStatuses(1)).body,
    count: (await statuses.getCount()).body,
    countByName: (await statuses.getCount({ name: 'Wysłane' })).body,
    created: (await statuses.createStatus(sample)).body,
    createdAgain: (await statuses.createStatus(sample)).body,
  };
  const id = answers.created.status.id;
  answers.updated = (await statuses.updateStatus(id, { name: 'Zwrócone & więcej', color: 'f55161' })).body;
  answers.changed = (await statuses.getStatuses(id)).body;
  answers.deleted = (await statuses.deleteStatus(id)).body;
  answers.gone = await refusal(statuses.getStatuses(id));
  answers.unknownPath = await refusal(statuses.getStatuses('abc'));
  answers.withoutToken = await refusal(new StatusResource(clientWith('')).getCount());
  console.log(JSON.stringify(answers));
}

main().catch((error) => { console.error(error); process.exit(1); });
