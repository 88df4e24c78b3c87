// Modules travel with their instructions and operands apart: this puts them together. The page and its Worker load it
// before anything that instantiates a module.
{
  // The crate `unpack`, in base64: `cargo xtask split` puts it here.
  const unpacker = new WebAssembly.Module(Uint8Array.from(atob("UNPACKER"), (letter) => letter.charCodeAt(0)));
  const MAGIC = 0x6b707700; // "\0wpk"

  const unpack = (wire) => {
    const header = new DataView(wire.buffer, wire.byteOffset, wire.byteLength);
    if (header.byteLength < 8 || header.getUint32(0, true) !== MAGIC) return wire;
    // An instance for each module: its memory goes with it.
    const { memory, room, unpack } = new WebAssembly.Instance(unpacker).exports;
    const sent = room(wire.length);
    new Uint8Array(memory.buffer, sent).set(wire);
    const module = unpack(sent, wire.length);
    return module === 0 ? wire : new Uint8Array(memory.buffer, module, header.getUint32(4, true));
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
