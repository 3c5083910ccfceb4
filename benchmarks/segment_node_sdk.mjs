// Segment's Node SDK against a running server: prints what the next decision knows of the customer, or fails.
// docs/events.md says how to run it.
import { Analytics } from '@segment/analytics-node'

const [host = 'http://127.0.0.1:8080', writeKey = 'any', key = ''] = process.argv.slice(2)
const customer = `node-${Date.now()}`
const device = `device-of-${customer}`

async function tell(writeKey, messages) {
  const analytics = new Analytics({ writeKey, host, maxRetries: 1 })
  const failures = []
  analytics.on('error', ({ code, reason }) => failures.push(`${code} ${reason?.status ?? reason}`))
  messages(analytics)
  await analytics.closeAndFlush()
  return failures
}

async function ask(path, options = {}) {
  const headers = { 'Content-Type': 'application/json', ...(key && { 'X-API-Key': key }) }
  const answer = await fetch(`${host}${path}`, { ...options, headers })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

// Before the customer is known by name; then both ids are one customer's.
const failures = await tell(writeKey, (analytics) => {
  analytics.track({ anonymousId: device, event: 'Product Viewed', properties: { category: 'drinks' } })
  analytics.identify({ userId: customer, anonymousId: device, traits: { age: '25-34' } })
  analytics.track({ userId: customer, event: 'Product Viewed', properties: { category: 'home', sku: 'G-32' } })
  analytics.page({ anonymousId: device, name: 'Home' })
})
const body = JSON.stringify({ customer_id: device })
const { decision_id: decision } = await ask('/v1/decisions', { method: 'POST', body })
const { customer_id: decidedFor, features } = await ask(`/v1/decisions/${decision}`)
const known = ['age=25-34', 'view.drinks', 'view.home', 'known.visit'].map((name) => [name, features[name]])
// With keys, one that nobody made must be refused, and the SDK told so.
const refused = key && (await tell('jo_nobody_made-this', (a) => a.track({ userId: customer, event: 'Product Viewed' })))
console.log({ failures, decidedFor, known: Object.fromEntries(known), refused })
const complete = decidedFor === customer && known.every(([, value]) => value > 0)
if (failures.length || !complete || (key && !refused.length)) process.exit(1)
