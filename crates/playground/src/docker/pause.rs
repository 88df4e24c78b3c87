//! The sandbox's only program, and the image it comes in.
//!
//! A sandbox needs a process that holds its namespaces, ends at SIGTERM, and lets the kernel reap
//! orphans. That is three system calls, so it is written down here as machine code instead of being
//! pulled or built: the image works on a machine without any registry, and weighs a few hundred bytes.

/// The image's name.
pub const IMAGE: &str = "playground/pause:1";

/// The program for x86-64:
///
/// ```text
///       mov eax, 14            rt_sigprocmask(SIG_BLOCK, mask, 0, 8): SIGINT and SIGTERM wait for us
///       xor edi, edi
///       lea rsi, [rip+mask]
///       xor edx, edx
///       mov r10d, 8
///       syscall
///       mov eax, 13            rt_sigaction(SIGCHLD, ignore, 0, 8): the kernel reaps children
///       mov edi, 17
///       lea rsi, [rip+ignore]
///       xor edx, edx
///       mov r10d, 8
///       syscall
/// wait: mov eax, 128           rt_sigtimedwait(mask, 0, 0, 8)
///       lea rdi, [rip+mask]
///       xor esi, esi
///       xor edx, edx
///       mov r10d, 8
///       syscall
///       test eax, eax
///       js wait                interrupted: again
///       mov eax, 231           exit_group(0)
///       xor edi, edi
///       syscall
/// mask:   .quad 0x4002
/// ignore: .quad SIG_IGN, SA_NOCLDWAIT, 0, 0
/// ```
const X86_64: [u8; 128] = [
    0xb8, 0x0e, 0x00, 0x00, 0x00, 0x31, 0xff, 0x48, 0x8d, 0x35, 0x4a, 0x00, 0x00, 0x00, 0x31, 0xd2, 0x41, 0xba, 0x08,
    0x00, 0x00, 0x00, 0x0f, 0x05, 0xb8, 0x0d, 0x00, 0x00, 0x00, 0xbf, 0x11, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x35, 0x37,
    0x00, 0x00, 0x00, 0x31, 0xd2, 0x41, 0xba, 0x08, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xb8, 0x80, 0x00, 0x00, 0x00, 0x48,
    0x8d, 0x3d, 0x19, 0x00, 0x00, 0x00, 0x31, 0xf6, 0x31, 0xd2, 0x41, 0xba, 0x08, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85,
    0xc0, 0x78, 0xe4, 0xb8, 0xe7, 0x00, 0x00, 0x00, 0x31, 0xff, 0x0f, 0x05, 0x02, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

const ELF_HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: u64 = 56;
const LOAD_ADDRESS: u64 = 0x40_0000;
const TAR_BLOCK_BYTES: usize = 512;

/// The program as an executable for a machine as Docker names it (`amd64`); `None` for one that it has
/// not been written for.
pub fn executable(architecture: &str) -> Option<Vec<u8>> {
    let code = match architecture {
        "amd64" | "x86_64" => &X86_64,
        _ => return None,
    };
    const MACHINE_X86_64: u16 = 62;
    let offset = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
    let size = offset + code.len() as u64;
    let mut out = Vec::new();
    // Identification: 64 bits, little endian, version 1, System V.
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // Executable; machine; version; entry; program headers; no section headers; flags.
    out.extend_from_slice(&2_u16.to_le_bytes());
    out.extend_from_slice(&MACHINE_X86_64.to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes());
    for word in [LOAD_ADDRESS + offset, ELF_HEADER_BYTES, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    // One segment, readable and executable: the whole file.
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&5_u32.to_le_bytes());
    for word in [0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x1000] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(code);
    Some(out)
}

/// A tar archive with the program as `/pause`: the image's only layer.
pub fn layer(executable: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; TAR_BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "pause");
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", executable.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend_from_slice(executable);
    // Padding to a block, then two empty blocks as the archive's end.
    out.resize(out.len().next_multiple_of(TAR_BLOCK_BYTES) + 2 * TAR_BLOCK_BYTES, 0);
    out
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_program_waits_until_it_is_terminated() {
        let dir = std::env::temp_dir().join(format!("pause-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pause");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(&executable("amd64").unwrap()).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(file);
        let mut child = Command::new(&path).spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        // Killed by the signal before it blocks it, or ended by itself.
        let status = child.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "{status}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
