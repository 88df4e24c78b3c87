//! Why a system call failed.

use std::fmt;

/// The error numbers that simulated programs meet, shown as `strerror` words them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    /// ENOENT
    NotFound,
    /// EACCES
    PermissionDenied,
    /// EPERM
    NotPermitted,
    /// EEXIST
    Exists,
    /// ENOTDIR
    NotADirectory,
    /// EISDIR
    IsADirectory,
    /// ENOTEMPTY
    NotEmpty,
    /// EROFS
    ReadOnly,
    /// EINVAL
    Invalid,
    /// ELOOP
    TooManyLinks,
    /// ENAMETOOLONG
    NameTooLong,
    /// EBADF
    BadDescriptor,
    /// EPIPE
    BrokenPipe,
    /// ENOSPC
    NoSpace,
    /// EBUSY
    Busy,
    /// ESRCH
    NoSuchProcess,
    /// ECONNREFUSED
    ConnectionRefused,
    /// ECONNRESET
    ConnectionReset,
    /// ETIMEDOUT
    TimedOut,
    /// ENETUNREACH
    NetworkUnreachable,
    /// EADDRINUSE
    AddressInUse,
    /// ENOMEM
    NoMemory,
    /// EIO
    Io,
}

impl Errno {
    /// The words of `strerror`, such as `No such file or directory`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "No such file or directory",
            Self::PermissionDenied => "Permission denied",
            Self::NotPermitted => "Operation not permitted",
            Self::Exists => "File exists",
            Self::NotADirectory => "Not a directory",
            Self::IsADirectory => "Is a directory",
            Self::NotEmpty => "Directory not empty",
            Self::ReadOnly => "Read-only file system",
            Self::Invalid => "Invalid argument",
            Self::TooManyLinks => "Too many levels of symbolic links",
            Self::NameTooLong => "File name too long",
            Self::BadDescriptor => "Bad file descriptor",
            Self::BrokenPipe => "Broken pipe",
            Self::NoSpace => "No space left on device",
            Self::Busy => "Device or resource busy",
            Self::NoSuchProcess => "No such process",
            Self::ConnectionRefused => "Connection refused",
            Self::ConnectionReset => "Connection reset by peer",
            Self::TimedOut => "Connection timed out",
            Self::NetworkUnreachable => "Network is unreachable",
            Self::AddressInUse => "Address already in use",
            Self::NoMemory => "Out of memory",
            Self::Io => "Input/output error",
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Errno {}
