// Writes src/lambda/powertools/typescript.golden.jsonl: what Powertools for TypeScript makes of values, one a line.
//
//     cd "$(mktemp -d)" && npm install @aws-lambda-powertools/idempotency@2.35.0 @aws-lambda-powertools/jmespath@2.35.0
//     cp REPOSITORY/tests/it/powertools/golden.mjs . && node golden.mjs > REPOSITORY/src/lambda/powertools/typescript.golden.jsonl
//
// The package's own hash is taken, and the text beside it shows where a difference is.
import { BasePersistenceLayer } from '@aws-lambda-powertools/idempotency/persistence';
import { IdempotencyConfig } from '@aws-lambda-powertools/idempotency';
import { deepSort } from './node_modules/@aws-lambda-powertools/idempotency/lib/esm/deepSort.js';

class Layer extends BasePersistenceLayer {}
const layer = new Layer();
layer.configure({ config: new IdempotencyConfig({}), keyPrefix: 'golden' });

// The same numbers in each run: xorshift.
let state = 0x2545f491;
const random = (below) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
};
const pick = (values) => values[random(values.length)];

const KEYS = ['a', 'B', 'b2', 'Z', '_', '10', '9', '01', '4294967294', '4294967295', '-1', '1.5', 'é', 'Ü', 'ü2', 'ΑΣ', 'ας2',
  '\u{1F600}', '\uFFFD', '__proto__', '', ' ', 'K', 'İ'];
const STRINGS = ['', 'a', 'é\n', '"\\/', '\u0000\u001f\u007f', '\u{1F600}', '</script>', '\u2028', '1'];
const NUMBERS = ['0', '-0.0', '1', '1.0', '-1', '0.1', '1e-6', '1e-7', '123456789012345680000', '1e21', '1.5e300', '5e-324',
  '9007199254740993', '18446744073709551615', '-9223372036854775808', '0.000001234', '1.7976931348623157e308'];

const number = () => (random(2) ? pick(NUMBERS) : `${random(2) ? '-' : ''}${random(1e9)}.${random(1e6)}e${random(40) - 20}`);
const json = (depth) => {
  switch (random(depth > 0 ? 7 : 5)) {
    case 0: return pick(['null', 'true', 'false']);
    case 1: case 2: return number();
    case 3: case 4: return JSON.stringify(pick(STRINGS));
    case 5: return `[${Array.from({ length: random(4) }, () => json(depth - 1)).join(',')}]`;
    default: {
      // Keys that differ in case alone keep the order of the event, which is lost on the way.
      const keys = [...new Set(Array.from({ length: random(7) }, () => pick(KEYS)))];
      return `{${keys.map((key) => `${JSON.stringify(key)}:${json(depth - 1)}`).join(',')}}`;
    }
  }
};

for (let line = 0; line < 140; line++) {
  const text = line < 20 ? json(0) : `[${json(3)},${json(3)},{"x":${json(3)},"Y":${json(3)}}]`;
  const value = JSON.parse(text);
  const key = layer.getHashedIdempotencyKey(value);
  console.log(JSON.stringify({ json: text, text: JSON.stringify(deepSort(value)), hash: key.slice('golden#'.length) }));
}
