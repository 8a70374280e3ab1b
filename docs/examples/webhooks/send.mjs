#!/usr/bin/env node
// Tells pnlcache that a user's trades changed. Node 18 or newer, no dependency; copy send().
//
//   WEBHOOK_SECRET=whsec_... PNLCACHE_URL=https://journal.example ./send.mjs BODY
//
// BODY is an event, or an array of up to 1000. Prints the answer.
import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

/**
 * Sends an event (an object) or several (an array) and returns the answer, once the change is in effect: from then on
 * nobody is served an older number. Throws when it was refused or nobody answered.
 */
export async function send(url, secret, events, attempts = 5) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const body = JSON.stringify(events);
  const id = 'msg_' + randomBytes(16).toString('hex'); // one for each event, the same for each attempt
  for (let attempt = 1; ; attempt++) {
    const now = Math.floor(Date.now() / 1000).toString(); // of this attempt
    const signature = createHmac('sha256', key).update(`${id}.${now}.${body}`).digest('base64');
    let failure;
    try {
      const answer = await fetch(url + '/api/webhooks/trades', {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': now,
          'webhook-signature': 'v1,' + signature,
        },
        body,
        signal: AbortSignal.timeout(30000),
      });
      if (answer.ok) return await answer.json();
      failure = new Error(`webhook refused: ${answer.status} ${await answer.text()}`);
      if (answer.status !== 429 && answer.status < 500) attempt = attempts; // the event or the secret is wrong
    } catch (error) {
      failure = error;
    }
    if (attempt >= attempts) throw failure;
    await sleep(attempt * 1000);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(JSON.stringify(await send(process.env.PNLCACHE_URL, process.env.WEBHOOK_SECRET, JSON.parse(process.argv[2]))));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
