// Powertools for AWS Lambda (TypeScript), used as its documentation has it, told what to do as measured.py says.
//
// `get` copies this to where its packages are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { IdempotencyConfig, makeIdempotent } from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

// By itself it keeps its connections, up to 50 of them.
const awsSdkV3Client = new DynamoDBClient({
  endpoint: process.env.PEER_ENDPOINT,
  region: 'us-east-1',
  credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
});
const context = { getRemainingTimeInMillis: () => 30_000 };
const payment = (order_id) => ({ payment_id: `payment-of-${order_id}`, order_id });
let ran = 0;

const handler = makeIdempotent(
  async (event, _context) => {
    ran += 1;
    if (event.amount < 0) throw new RangeError('the amount is negative');
    return payment(event.order_id);
  },
  {
    persistenceStore: new DynamoDBPersistenceLayer({ tableName: process.env.PEER_TABLE, awsSdkV3Client }),
    config: new IdempotencyConfig({ eventKeyJmesPath: 'order_id' }),
  },
);

async function task(operation, order_id) {
  if (operation === 'failure') {
    await assert.rejects(handler({ order_id, amount: -1 }, context), RangeError);
    return;
  }
  const { payment_id, order_id: paid } = await handler({ order_id, amount: 1200 }, context);
  const expected = payment(order_id);
  assert.ok(payment_id === expected.payment_id && paid === expected.order_id);
}

async function measure({ operation, tasks, in_flight, prefix }) {
  const oneByOne = async (lane) => {
    for (let number = lane; number < tasks; number += in_flight) await task(operation, `${prefix}-${number}`);
  };
  ran = 0;
  const [cpu, wall] = [process.cpuUsage(), process.hrtime.bigint()];
  await Promise.all(Array.from({ length: in_flight }, (_, lane) => oneByOne(lane)));
  const { user, system } = process.cpuUsage(cpu);
  return { cpu_us: user + system, wall_us: Number(process.hrtime.bigint() - wall) / 1000, ran };
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const version = (name) => {
  const url = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(url, 'utf8')).version}`;
};
const packages = ['@aws-lambda-powertools/idempotency', '@aws-sdk/client-dynamodb'].map(version);
say({ about: [...packages, `Node ${process.versions.node}`].join(', ') });
for await (const line of createInterface({ input: process.stdin })) say(await measure(JSON.parse(line)));
