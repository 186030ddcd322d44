// Reads and writes serialised ONNX TensorProto files (.pb): as much of the format as test data uses.
import fs from 'node:fs';

const kinds = {
  1: ['float32', Float32Array], 2: ['uint8', Uint8Array], 3: ['int8', Int8Array], 4: ['uint16', Uint16Array],
  5: ['int16', Int16Array], 6: ['int32', Int32Array], 7: ['int64', BigInt64Array], 9: ['bool', Uint8Array],
  10: ['float16', Uint16Array], 11: ['float64', Float64Array],
};
const codes = Object.fromEntries(Object.entries(kinds).map(([code, [name]]) => [name, Number(code)]));

// {name, type, dims, data}: data is a typed array, as onnxruntime's Tensor takes it.
export function readTensorFile(path) {
  const bytes = fs.readFileSync(path);
  const tensor = { name: '', dims: [], code: 0, raw: null, values: [] };
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asIntN(64, value);
    }
  };
  const numbers = (wire, into, read) => {
    if (wire !== 2) return into.push(read());
    const end = Number(varint()) + at;
    while (at < end) into.push(read());
  };
  const float = () => bytes.readFloatLE((at += 4) - 4);
  const double = () => bytes.readDoubleLE((at += 8) - 8);
  while (at < bytes.length) {
    const tag = Number(varint());
    const [field, wire] = [tag >> 3, tag & 7];
    if (field === 1) numbers(wire, tensor.dims, () => Number(varint()));
    else if (field === 2) tensor.code = Number(varint());
    else if (field === 4) numbers(wire, tensor.values, float);
    else if (field === 5 || field === 7 || field === 11) numbers(wire, tensor.values, varint);
    else if (field === 10) numbers(wire, tensor.values, double);
    else if (wire === 2) {
      const size = Number(varint());
      if (field === 8) tensor.name = bytes.toString('utf8', at, at + size);
      if (field === 9) tensor.raw = bytes.subarray(at, at + size);
      at += size;
    } else if (wire === 0) varint();
    else at += wire === 5 ? 4 : 8;
  }
  if (!kinds[tensor.code]) throw new Error(`${path}: data type ${tensor.code} is not one that this reader knows`);
  const [type, Kind] = kinds[tensor.code];
  let data;
  if (tensor.raw) data = new Kind(tensor.raw.buffer.slice(tensor.raw.byteOffset, tensor.raw.byteOffset + tensor.raw.length));
  else data = Kind.from(tensor.values, Kind === BigInt64Array ? BigInt : Number);
  return { name: tensor.name, type, dims: tensor.dims, data };
}

export function writeTensorFile(path, { name, type, dims, data }) {
  const varint = (value) => {
    const out = [];
    for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
      if (rest < 128n) return Buffer.from([...out, Number(rest)]);
      out.push(Number(rest & 127n) | 128);
    }
  };
  const block = (field, bytes) => Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
  const parts = dims.map((size) => Buffer.concat([varint(8), varint(size)]));
  parts.push(varint(16), varint(codes[type]), block(8, Buffer.from(name)));
  parts.push(block(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
  fs.writeFileSync(path, Buffer.concat(parts));
}
