//! Header blocks: names and values, compressed by one zlib stream for each direction of a connection.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::Error;

/// The headers of a stream. Names are lower case.
pub type Headers = BTreeMap<String, String>;

/// Most bytes of a block once it is inflated; Kubernetes' streams have three short headers.
const BLOCK_BYTES_MAX: usize = 16 * 1024;

/// The words the compression begins with (SPDY draft 3, section 2.6.10.1), each under its length.
const WORDS: [&str; 65] = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];
/// What follows the words, without lengths.
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug \
Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::new();
    WORDS.iter().for_each(|word| put_text(&mut dictionary, word));
    dictionary.extend_from_slice(REST.as_bytes());
    dictionary
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// Compresses the blocks that are sent.
pub struct Deflater(Compress);

impl Deflater {
    /// The beginning of a connection's direction.
    pub fn new() -> Self {
        let mut compress = Compress::new(Compression::default(), true);
        // zlib refuses a dictionary only after the first byte.
        let _ = compress.set_dictionary(&dictionary());
        Self(compress)
    }

    /// The next block.
    ///
    /// # Errors
    /// When zlib fails, which it has no reason to.
    pub fn block(&mut self, headers: &Headers) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        plain.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
        for (name, value) in headers {
            put_text(&mut plain, name);
            put_text(&mut plain, value);
        }
        let mut out = Vec::new();
        let start = self.0.total_in();
        loop {
            // With room left over, zlib has flushed everything.
            out.reserve(plain.len() + 64);
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            let rest = plain.get(done..).unwrap_or_default();
            self.0.compress_vec(rest, &mut out, FlushCompress::Sync).map_err(|_| Error::Headers)?;
            if out.len() < out.capacity() {
                return Ok(out);
            }
        }
    }
}

/// Inflates the blocks that are received.
pub struct Inflater(Decompress);

impl Inflater {
    /// The beginning of a connection's direction.
    pub fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The headers of the next block.
    ///
    /// # Errors
    /// When it is no zlib stream of SPDY's dictionary, is too large, or holds no names and values.
    pub fn headers(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let mut plain = Vec::with_capacity(BLOCK_BYTES_MAX + 1);
        let start = self.0.total_in();
        loop {
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let before = (self.0.total_in(), self.0.total_out());
            match self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(Error::Headers),
                Ok(_) if plain.len() > BLOCK_BYTES_MAX => return Err(Error::Headers),
                Ok(_) if (self.0.total_in(), self.0.total_out()) == before => return Err(Error::Headers),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| Error::Headers)?;
                }
                Err(_) => return Err(Error::Headers),
            }
        }
        parse(plain.into())
    }
}

fn parse(mut plain: Bytes) -> Result<Headers, Error> {
    let mut headers = Headers::new();
    let count = plain.try_get_u32().map_err(|_| Error::Headers)?;
    for _ in 0..count {
        let name = text(&mut plain)?.to_ascii_lowercase();
        let value = text(&mut plain)?;
        if name.is_empty() || headers.insert(name, value).is_some() {
            return Err(Error::Headers);
        }
    }
    if plain.is_empty() { Ok(headers) } else { Err(Error::Headers) }
}

fn text(plain: &mut Bytes) -> Result<String, Error> {
    let length = plain.try_get_u32().map_err(|_| Error::Headers)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= plain.len()).ok_or(Error::Headers)?;
    String::from_utf8(plain.split_to(length).into()).map_err(|_| Error::Headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_connection_begins_as_every_spdy_3_connection_does() {
        let block = Deflater::new().block(&Headers::new()).unwrap();
        // A zlib header with a preset dictionary, and the checksum of SPDY 3's.
        assert_eq!(block[1] & 0x20, 0x20);
        assert_eq!(block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn a_block_that_inflates_without_end_is_refused() {
        let headers = Headers::from([("a".into(), "b".repeat(1 << 20))]);
        let block = Deflater::new().block(&headers).unwrap();
        assert!(block.len() < BLOCK_BYTES_MAX);
        assert_eq!(Inflater::new().headers(&block), Err(Error::Headers));
    }

    proptest! {
        #[test]
        fn blocks_come_back_as_they_were(blocks in prop::collection::vec(
            prop::collection::btree_map("[a-z-]{1,12}", ".{0,40}", 0..6), 1..6,
        )) {
            let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
            for headers in blocks {
                prop_assert_eq!(inflater.headers(&deflater.block(&headers).unwrap()), Ok(headers));
            }
        }

        #[test]
        fn hostile_blocks_are_errors(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
            plain in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut inflater = Inflater::new();
            for block in blocks {
                let _ = inflater.headers(&block);
            }
            let _ = parse(plain.into());
        }
    }
}
