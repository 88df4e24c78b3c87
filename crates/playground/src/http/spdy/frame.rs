//! Frames of SPDY/3.1: bytes in, frames out, and back.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::headers::{Deflater, Headers, Inflater};

const HEAD_BYTES: usize = 8;
const CONTROL: u32 = 1 << 31;
const VERSION: u32 = 3;
/// Flag of a stream's last frame.
const FIN: u8 = 1;
/// Most bytes of a control frame.
const CONTROL_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of data that are passed on at once.
pub const DATA_BYTES_MAX: usize = 64 * 1024;

/// Types of control frames.
mod kind {
    pub const SYN_STREAM: u16 = 1;
    pub const SYN_REPLY: u16 = 2;
    pub const RST_STREAM: u16 = 3;
    pub const PING: u16 = 6;
    pub const GOAWAY: u16 = 7;
    pub const HEADERS: u16 = 8;
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A control frame of another version of SPDY.
    #[error("unsupported SPDY version {0}")]
    Version(u16),
    /// A frame that is longer or shorter than its type can be.
    #[error("SPDY frame of type {0} has an impossible length")]
    Length(u16),
    /// A header block that cannot be read.
    #[error("SPDY header block is damaged")]
    Headers,
    /// A stream number that is not the client's, or not new.
    #[error("SPDY stream number {0} is out of order")]
    Stream(u32),
}

/// A frame. SETTINGS, WINDOW_UPDATE and CREDENTIAL are read over: Kubernetes' clients and servers
/// (moby/spdystream) neither send nor honour windows, so that the connection's own flow control is the
/// only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The client opens a stream.
    SynStream {
        /// Its number.
        stream: u32,
        /// What it is for.
        headers: Headers,
        /// The client sends no data.
        fin: bool,
    },
    /// A stream is accepted.
    SynReply {
        /// Its number.
        stream: u32,
    },
    /// A stream is over, both ways.
    RstStream {
        /// Its number.
        stream: u32,
        /// Why, as in the SPDY draft, section 2.6.3.
        status: u32,
    },
    /// To be sent back as it is.
    Ping(u32),
    /// No further streams.
    GoAway {
        /// The last stream that was accepted.
        last_stream: u32,
        /// 0 for a normal end, 1 for a protocol error.
        status: u32,
    },
    /// More headers of a stream, which Kubernetes does not use; they may end it.
    Headers {
        /// Its number.
        stream: u32,
        /// The sender sends no more.
        fin: bool,
    },
    /// Data of a stream: a part of what was one frame, perhaps.
    Data {
        /// Its number.
        stream: u32,
        /// The data.
        data: Bytes,
        /// The sender sends no more.
        fin: bool,
    },
}

/// Turns received bytes into frames.
pub struct Decoder {
    inflater: Inflater,
    /// The data frame whose payload is coming: stream, bytes left, and whether it is the last.
    open: Option<(u32, usize, bool)>,
}

impl Decoder {
    /// The beginning of a connection.
    pub fn new() -> Self {
        Self { inflater: Inflater::new(), open: None }
    }

    /// Takes the next frame off the buffer; `None` until more bytes have come.
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing can be read after that.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, Error> {
        loop {
            if let Some((stream, left, fin)) = self.open {
                let data = buffer.split_to(left.min(buffer.len()).min(DATA_BYTES_MAX)).freeze();
                if data.is_empty() && left > 0 {
                    return Ok(None);
                }
                let left = left - data.len();
                self.open = (left > 0).then_some((stream, left, fin));
                return Ok(Some(Frame::Data { stream, data, fin: fin && left == 0 }));
            }
            let mut head = &buffer[..];
            let (Ok(word), Ok(flags), Ok(length)) = (head.try_get_u32(), head.try_get_u8(), head.try_get_uint(3))
            else {
                return Ok(None);
            };
            let length = length as usize;
            if word & CONTROL == 0 {
                buffer.advance(HEAD_BYTES);
                self.open = Some((word, length, flags & FIN != 0));
                continue;
            }
            let [_, _, high, low] = word.to_be_bytes();
            let kind = u16::from_be_bytes([high, low]);
            let version = (word & !CONTROL) >> 16;
            if version != VERSION {
                return Err(Error::Version(version as u16));
            }
            if length > CONTROL_BYTES_MAX {
                return Err(Error::Length(kind));
            }
            if buffer.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            buffer.advance(HEAD_BYTES);
            if let Some(frame) = self.control(kind, flags, buffer.split_to(length).freeze())? {
                return Ok(Some(frame));
            }
        }
    }

    /// A control frame; `None` for one that means nothing here.
    fn control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> Result<Option<Frame>, Error> {
        let short = |_| Error::Length(kind);
        let fin = flags & FIN != 0;
        let mut number = || payload.try_get_u32().map_err(short);
        let frame = match kind {
            kind::SYN_STREAM => {
                let stream = number()? & !CONTROL;
                let (_associated_to, _priority_and_slot) = (number()?, payload.try_get_u16().map_err(short)?);
                Frame::SynStream { stream, headers: self.inflater.headers(&payload)?, fin }
            }
            kind::SYN_REPLY => {
                let stream = number()? & !CONTROL;
                self.inflater.headers(&payload)?;
                Frame::SynReply { stream }
            }
            kind::RST_STREAM => Frame::RstStream { stream: number()? & !CONTROL, status: number()? },
            kind::PING => Frame::Ping(number()?),
            kind::GOAWAY => Frame::GoAway { last_stream: number()? & !CONTROL, status: number()? },
            kind::HEADERS => {
                let stream = number()? & !CONTROL;
                self.inflater.headers(&payload)?;
                Frame::Headers { stream, fin }
            }
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

/// Turns frames into bytes.
pub struct Encoder(Deflater);

impl Encoder {
    /// The beginning of a connection.
    pub fn new() -> Self {
        Self(Deflater::new())
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// When headers are longer than a frame can be.
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Error> {
        match frame {
            Frame::SynStream { stream, headers, fin } => {
                let mut payload = Vec::new();
                payload.put_u32(*stream);
                payload.put_bytes(0, 6);
                payload.extend(self.0.block(headers)?);
                control(out, kind::SYN_STREAM, *fin, &payload)
            }
            Frame::SynReply { stream } => self.headers(out, kind::SYN_REPLY, *stream, false),
            Frame::Headers { stream, fin } => self.headers(out, kind::HEADERS, *stream, *fin),
            Frame::RstStream { stream, status } => control(out, kind::RST_STREAM, false, &two(*stream, *status)),
            Frame::Ping(id) => control(out, kind::PING, false, &id.to_be_bytes()),
            Frame::GoAway { last_stream, status } => control(out, kind::GOAWAY, false, &two(*last_stream, *status)),
            Frame::Data { stream, data, fin } => {
                let mut rest = &data[..];
                loop {
                    let (part, more) = rest.split_at(rest.len().min(DATA_BYTES_MAX));
                    rest = more;
                    out.put_u32(*stream);
                    out.put_u8(if *fin && rest.is_empty() { FIN } else { 0 });
                    out.put_uint(part.len() as u64, 3);
                    out.put_slice(part);
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn headers(&mut self, out: &mut BytesMut, kind: u16, stream: u32, fin: bool) -> Result<(), Error> {
        let mut payload = stream.to_be_bytes().to_vec();
        payload.extend(self.0.block(&Headers::new())?);
        control(out, kind, fin, &payload)
    }
}

fn two(first: u32, second: u32) -> [u8; 8] {
    ((u64::from(first) << 32) | u64::from(second)).to_be_bytes()
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, payload: &[u8]) -> Result<(), Error> {
    if payload.len() > CONTROL_BYTES_MAX {
        return Err(Error::Length(kind));
    }
    out.put_u32(CONTROL | (VERSION << 16) | u32::from(kind));
    out.put_u8(if fin { FIN } else { 0 });
    out.put_uint(payload.len() as u64, 3);
    out.put_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Frames of bytes that come in parts of these sizes, with neighbouring data of a stream joined.
    fn decode(bytes: &[u8], parts: &[usize]) -> Result<Vec<Frame>, Error> {
        let (mut decoder, mut buffer, mut frames) = (Decoder::new(), BytesMut::new(), Vec::<Frame>::new());
        let (mut rest, mut parts) = (bytes, parts.iter().cycle());
        while !rest.is_empty() {
            let (part, more) = rest.split_at((*parts.next().unwrap_or(&usize::MAX)).clamp(1, rest.len()));
            rest = more;
            buffer.extend_from_slice(part);
            while let Some(frame) = decoder.decode(&mut buffer)? {
                match (frames.last_mut(), frame) {
                    (
                        Some(Frame::Data { stream, data, fin: ended @ false }),
                        Frame::Data { stream: same, data: next, fin },
                    ) if *stream == same => {
                        *data = [&data[..], &next[..]].concat().into();
                        *ended = fin;
                    }
                    (_, frame) => frames.push(frame),
                }
            }
        }
        Ok(frames)
    }

    fn encode(frames: &[Frame]) -> BytesMut {
        let (mut encoder, mut out) = (Encoder::new(), BytesMut::new());
        frames.iter().for_each(|frame| encoder.encode(frame, &mut out).unwrap());
        out
    }

    fn frames() -> impl Strategy<Value = Frame> {
        let stream = || 1..1000u32;
        prop_oneof![
            (stream(), prop::collection::btree_map("[a-z]{1,9}", "[ -~]{0,20}", 0..4), any::<bool>())
                .prop_map(|(stream, headers, fin)| Frame::SynStream { stream, headers, fin }),
            stream().prop_map(|stream| Frame::SynReply { stream }),
            (stream(), any::<u32>()).prop_map(|(stream, status)| Frame::RstStream { stream, status }),
            any::<u32>().prop_map(Frame::Ping),
            (stream(), any::<u32>()).prop_map(|(last_stream, status)| Frame::GoAway { last_stream, status }),
            (stream(), any::<bool>()).prop_map(|(stream, fin)| Frame::Headers { stream, fin }),
            // Ended, so that what the test joins is one frame only.
            (stream(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(stream, data)| Frame::Data {
                stream,
                data: data.into(),
                fin: true
            }),
        ]
    }

    #[test]
    fn large_data_is_split_and_ends_once() {
        let data = Bytes::from(vec![7; 3 * DATA_BYTES_MAX + 1]);
        let sent = Frame::Data { stream: 1, data, fin: true };
        let bytes = encode(std::slice::from_ref(&sent));
        assert_eq!(bytes.len(), 3 * DATA_BYTES_MAX + 1 + 4 * HEAD_BYTES);
        assert_eq!(decode(&bytes, &[1000]), Ok(vec![sent]));
    }

    #[test]
    fn settings_and_windows_are_read_over() {
        let mut bytes = BytesMut::from(&b"\x80\x03\x00\x04\x00\x00\x00\x04\x00\x00\x00\x00"[..]);
        bytes.extend_from_slice(b"\x80\x03\x00\x09\x00\x00\x00\x08\x00\x00\x00\x01\x00\x01\x00\x00");
        bytes.extend_from_slice(b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x05");
        assert_eq!(decode(&bytes, &[3]), Ok(vec![Frame::Ping(5)]));
    }

    #[test]
    fn what_is_not_spdy_3_is_refused() {
        assert_eq!(decode(b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x05", &[99]), Err(Error::Version(2)));
        assert_eq!(decode(b"\x80\x03\x00\x06\x00\x00\x00\x02\x00\x00", &[99]), Err(Error::Length(6)));
        assert_eq!(decode(b"\x80\x03\x00\x01\x00\xff\xff\xff", &[99]), Err(Error::Length(1)));
        assert_eq!(decode(b"\x80\x03\x00\x01\x00\x00\x00\x0c\0\0\0\x01\0\0\0\0\0\0zz", &[99]), Err(Error::Headers));
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_bytes_are_cut(
            sent in prop::collection::vec(frames(), 0..12),
            parts in prop::collection::vec(1..64usize, 1..8),
        ) {
            prop_assert_eq!(decode(&encode(&sent), &parts), Ok(sent));
        }

        #[test]
        fn hostile_bytes_mean_the_same_however_they_are_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            parts in prop::collection::vec(1..64usize, 1..8),
        ) {
            prop_assert_eq!(decode(&bytes, &parts).err(), decode(&bytes, &[usize::MAX]).err());
        }

        #[test]
        fn damaged_frames_never_panic(
            sent in prop::collection::vec(frames(), 1..8),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = encode(&sent);
            let place = place.index(bytes.len());
            bytes[place] = byte;
            let _ = decode(&bytes, &[17]);
        }
    }
}
