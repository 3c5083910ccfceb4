// Segment's Node SDK against a running server: prints what the next decision knows of the customer, or fails.
//
//   journey serve --config configs/retail --model journey-demo
//   npm install --prefix /tmp/segment-node @segment/analytics-node
//   cp benchmarks/segment_node_sdk.mjs /tmp/segment-node/ && node /tmp/segment-node/segment_node_sdk.mjs http://127.0.0.1:8080
import { Analytics } from '@segment/analytics-node'

const host = process.argv[2] ?? 'http://127.0.0.1:8080'
const customer = `node-${Date.now()}`
const analytics = new Analytics({ writeKey: 'any', host })
const failures = []
analytics.on('error', (error) => failures.push(error))
analytics.identify({ userId: customer, anonymousId: `anonymous-${customer}`, traits: { age: '25-34' } })
analytics.track({ userId: customer, event: 'Product Viewed', properties: { category: 'home', sku: 'G-32' } })
await analytics.closeAndFlush()

const asked = await fetch(`${host}/v1/decisions`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ customer_id: customer }),
})
const { decision_id: decision } = await asked.json()
const { features } = await (await fetch(`${host}/v1/decisions/${decision}`)).json()
console.log({ failures, age: features?.['age=25-34'], viewed: features?.['view.home'] })
if (failures.length || features?.['age=25-34'] !== 1 || !(features['view.home'] > 0)) process.exit(1)
