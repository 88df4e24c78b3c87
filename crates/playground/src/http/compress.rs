//! Large answers are compressed for who asks for it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, VARY};
use http::response::Parts;
use machinery::wire::{Body, Response};

/// Smaller answers take longer to compress than to send; upstream's threshold.
const BYTES_MIN: usize = 128 * 1024;

/// Whether a client takes gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        parts.next() == Some("gzip") && !parts.any(refused)
    })
}

/// Compresses a large answer whose bytes are all at hand. As fast as gzip can, as upstream does. What
/// comes from behind a proxy, and says how it is encoded or how long it is, stays as it is.
pub fn gzip(response: Response) -> Response {
    if [CONTENT_ENCODING, CONTENT_LENGTH].iter().any(|name| response.headers().contains_key(name)) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = match body {
        Body::List(list) if list.is_long() => return compressed(parts, list.into_parts()),
        Body::List(list) => list.to_bytes(),
        Body::Object(object) => super::line(&object),
        Body::Bytes(bytes) => bytes,
        streaming => return Response::from_parts(parts, streaming),
    };
    if bytes.len() <= BYTES_MIN {
        return Response::from_parts(parts, Body::Bytes(bytes));
    }
    compressed(parts, std::iter::once(bytes))
}

/// An answer whose body is compressed as it is made.
fn compressed(mut head: Parts, body: impl Iterator<Item = Bytes>) -> Response {
    let compressed = tokio::task::block_in_place(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for part in body {
            // A vector takes all that is written.
            let _ = encoder.write_all(&part);
        }
        encoder.finish().unwrap_or_default()
    });
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Response::from_parts(head, Body::Bytes(compressed.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn gzip_is_for_those_who_accept_it() {
        for (header, expected) in
            [("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false), ("identity", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, header.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{header}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_answers_are_compressed() {
        let large = Bytes::from(vec![b'x'; BYTES_MIN + 1]);
        let response = gzip(Response::new(Body::Bytes(large.clone())));
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let compressed = response.into_body().collect().await;
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, large);
        let small = gzip(Response::new(Body::Bytes(large.slice(1..))));
        assert!(small.headers().get(CONTENT_ENCODING).is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_proxied_page_stays_as_it_is() {
        let page = Bytes::from(vec![b'x'; 200 * 1024]);
        for (name, value) in [(CONTENT_LENGTH, "204800"), (CONTENT_ENCODING, "br")] {
            let mut response = Response::new(Body::Bytes(page.clone()));
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            let headers = response.headers().clone();
            let answered = gzip(response);
            assert_eq!(answered.headers(), &headers);
            assert_eq!(answered.into_body().collect().await, page);
        }
    }
}
