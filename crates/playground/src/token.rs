//! The token that lets the page in: made at random with the cluster and kept with it, so that an open page
//! goes on when the server has started anew; printed with the page's address.

use std::path::Path;

use anyhow::Result;
use apiserver::{Authenticator, UserInfo};
use rustls::crypto::SecureRandom;

use crate::certificates::{damaged, read, write_private};

/// Knows one token, the administrator's.
pub struct PageToken(String);

impl PageToken {
    /// Reads the token of a cluster from its file, or makes one of 128 random bits, in hexadecimal digits.
    ///
    /// # Errors
    /// When the file cannot be read or written or holds no token, or the system gives no random bytes.
    pub fn load_or_create(file: &Path, random: &dyn SecureRandom) -> Result<Self> {
        if !file.exists() {
            let mut bytes = [0; 16];
            random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
            write_private(file, &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())?;
        }
        let token = read(file)?;
        anyhow::ensure!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), damaged(file));
        Ok(Self(token))
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Authenticator for PageToken {
    fn authenticate_token(&self, token: &str) -> Option<UserInfo> {
        // Compared without leaving early, so that timing tells nothing.
        let equal = token.len() == self.0.len()
            && token.bytes().zip(self.0.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0;
        equal.then(UserInfo::admin)
    }
}
