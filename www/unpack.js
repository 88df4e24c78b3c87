// Modules travel with their instructions and operands apart (xtask/src/split/wire.rs): this puts them together.
// The page and its Worker load it before anything that instantiates a module.
{
  // Streams, in their order on the wire.
  const [INSTRUCTION, LOCAL, I32, OFFSET, ALIGN, FUNCTION, INDIRECT, BRANCH, BRANCH_TABLE, BLOCK, I64, FLOAT, GLOBAL, LOCALS, OTHER] =
    Array(15).keys();
  const STREAMS = 15;
  const MAGIC = 0x6b707700; // "\0wpk"
  const HEADER_NUMBERS = 5;
  // A function's length goes before it, and is known after it: room for the longest.
  const LENGTH_BYTES = 5;

  // These locals are in the list to begin with.
  const RECENT_FIRST = 64;

  // Instructions with one number behind them, by that number's stream.
  const SINGLE = new Int8Array(256).fill(-1);
  for (const [stream, ...instructions] of [
    [I32, 0x41],
    [I64, 0x42],
    [FUNCTION, 0x10, 0x12, 0xd2],
    [BRANCH, 0x0c, 0x0d],
    [BLOCK, 0x02, 0x03, 0x04],
    [GLOBAL, 0x23, 0x24],
    [OTHER, 0x25, 0x26, 0x3f, 0x40, 0xd0],
  ])
    for (const instruction of instructions) SINGLE[instruction] = stream;
  // How many numbers follow those that begin with 0xfc.
  const MORE = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];

  const unpack = (wire) => {
    const view = new DataView(wire.buffer, wire.byteOffset, wire.byteLength);
    if (view.getUint32(0, true) !== MAGIC) return wire;
    const number = (index) => view.getUint32(4 + 4 * index, true);
    const [length, functions, codeLength, before, after] = [0, 1, 2, 3, 4].map(number);
    const out = new Uint8Array(length + LENGTH_BYTES);
    const start = 4 + 4 * (HEADER_NUMBERS + STREAMS);
    out.set(wire.subarray(start, start + before));
    let from = start + before + after;
    const at = new Uint32Array(STREAMS);
    for (let stream = 0; stream < STREAMS; stream++) {
      at[stream] = from;
      from += number(HEADER_NUMBERS + stream);
    }

    let to = before;
    const write = (value) => {
      for (; value > 0x7f; value >>>= 7) out[to++] = (value & 0x7f) | 0x80;
      out[to++] = value;
    };
    // Copies a number, and gives it if it is a small one.
    const copy = (stream) => {
      let [value, shift, byte] = [0, 0, 0];
      do {
        byte = wire[at[stream]++];
        out[to++] = byte;
        value |= (byte & 0x7f) << shift;
        shift += 7;
      } while (byte & 0x80);
      return value;
    };
    const take = (count) => {
      for (; count > 0; count--) out[to++] = wire[at[FLOAT]++];
    };
    // A function's locals are told by how recently they were used.
    const recent = [];
    const local = () => {
      let [place, shift, byte] = [0, 0, 0];
      do {
        byte = wire[at[LOCAL]++];
        place |= (byte & 0x7f) << shift;
        shift += 7;
      } while (byte & 0x80);
      const known = place < recent.length;
      const found = known ? recent[place] : place - recent.length;
      if (!known) place = recent.push(found) - 1;
      for (; place > 0; place--) recent[place] = recent[place - 1];
      recent[0] = found;
      write(found);
    };
    const body = () => {
      recent.length = RECENT_FIRST;
      for (let place = 0; place < RECENT_FIRST; place++) recent[place] = place;
      for (let groups = copy(LOCALS); groups > 0; groups--) {
        copy(LOCALS);
        out[to++] = wire[at[LOCALS]++];
      }
      for (let depth = 0; ; ) {
        const instruction = wire[at[INSTRUCTION]++];
        out[to++] = instruction;
        const stream = SINGLE[instruction];
        if (stream >= 0) {
          // Copying is most of the work.
          let byte;
          do out[to++] = byte = wire[at[stream]++];
          while (byte & 0x80);
          if (stream === BLOCK) depth++;
        } else if (instruction >= 0x20 && instruction <= 0x22) local();
        else if (instruction >= 0x28 && instruction <= 0x3e) {
          copy(ALIGN);
          copy(OFFSET);
        } else if (instruction === 0x0b) {
          if (depth-- === 0) return;
        } else if (instruction === 0x0e) for (let count = copy(BRANCH_TABLE); count >= 0; count--) copy(BRANCH_TABLE);
        else if (instruction === 0x11 || instruction === 0x13) {
          copy(INDIRECT);
          copy(INDIRECT);
        } else if (instruction === 0x43) take(4);
        else if (instruction === 0x44) take(8);
        else if (instruction === 0x1c) for (let count = copy(OTHER); count > 0; count--) copy(OTHER);
        else if (instruction === 0xfc) for (let count = MORE[copy(OTHER)]; count > 0; count--) copy(OTHER);
      }
    };

    out[to++] = 10;
    write(codeLength);
    write(functions);
    for (let count = functions; count > 0; count--) {
      const first = to + LENGTH_BYTES;
      to = first;
      body();
      const end = to;
      to = first - LENGTH_BYTES;
      write(end - first);
      out.copyWithin(to, first, end);
      to += end - first;
    }
    out.set(wire.subarray(start + before, start + before + after), to);
    return out.subarray(0, length);
  };

  const bytes = async (source) => {
    const response = await source;
    if (!response.ok) throw new TypeError(`${response.url}: HTTP ${response.status}`);
    return unpack(new Uint8Array(await response.arrayBuffer()));
  };
  WebAssembly.instantiateStreaming = async (source, imports) => WebAssembly.instantiate(await bytes(source), imports);
  WebAssembly.compileStreaming = async (source) => WebAssembly.compile(await bytes(source));
  globalThis.unpackModule = unpack;
}
