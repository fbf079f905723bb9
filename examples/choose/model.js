/** A tiny network as an ONNX file: y = relu(x · A) · B for rows of 128 numbers. Written by hand, so that no file need be downloaded. */
const WIDTH = 128;

const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(Math.floor(n / 128))]);
const number = (field, n) => [...varint(field << 3), ...varint(n)];
const bytes = (field, data) => [...varint((field << 3) | 2), ...varint(data.length), ...data];
const text = (field, string) => bytes(field, new TextEncoder().encode(string));

/** TensorProto: WIDTH × WIDTH floats. */
function tensor(name, seed) {
  const values = Float32Array.from({ length: WIDTH * WIDTH }, (_, i) => Math.sin(seed + i) / WIDTH);
  return [...number(1, WIDTH), ...number(1, WIDTH), ...number(2, 1), ...text(8, name), ...bytes(9, new Uint8Array(values.buffer))];
}
/** NodeProto */
const node = (operation, inputs, output) => [...inputs.flatMap((name) => text(1, name)), ...text(2, output), ...text(4, operation)];
/** ValueInfoProto: any number of rows. */
function value(name) {
  const shape = [...bytes(1, text(2, "rows")), ...bytes(1, number(1, WIDTH))];
  return [...text(1, name), ...bytes(2, bytes(1, [...number(1, 1), ...bytes(2, shape)]))];
}

/** ModelProto @returns {Uint8Array} */
export function model() {
  const graph = [
    ...bytes(1, node("MatMul", ["x", "A"], "a")), ...bytes(1, node("Relu", ["a"], "b")), ...bytes(1, node("MatMul", ["b", "B"], "y")),
    ...text(2, "tiny"), ...bytes(5, tensor("A", 1)), ...bytes(5, tensor("B", 2)), ...bytes(11, value("x")), ...bytes(12, value("y")),
  ];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 13))]);
}
