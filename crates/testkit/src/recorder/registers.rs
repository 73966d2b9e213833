//! The one place that knows a processor's registers: the number and arguments of a system call, and its result.

use anyhow::{Result, bail};
use nix::sys::ptrace;
use nix::unistd::Pid;

/// A system call as a thread is about to make it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) args: [u64; 6],
}

/// On which side of a system call a thread has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Entry,
    Exit,
}

/// The kernel's word for x86-64 calls; calls of 32-bit programs have other numbers.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Asks the kernel on which side of a call the thread stands.
pub(super) fn side(thread: Pid) -> Result<Option<Side>> {
    let info = ptrace::syscall_info(thread)?;
    if info.arch != ARCHITECTURE {
        bail!("system calls of a foreign architecture cannot be recorded");
    }
    Ok(match info.op {
        libc::PTRACE_SYSCALL_INFO_ENTRY => Some(Side::Entry),
        libc::PTRACE_SYSCALL_INFO_EXIT => Some(Side::Exit),
        _ => None,
    })
}

/// The call that a thread at its entry is about to make.
#[cfg(target_arch = "x86_64")]
pub(super) fn call(thread: Pid) -> Result<Call> {
    let registers = ptrace::getregs(thread)?;
    Ok(Call {
        number: registers.orig_rax.cast_signed(),
        args: [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9],
    })
}

/// What the call returned to a thread at its exit: a count, a descriptor, or a negative error.
#[cfg(target_arch = "x86_64")]
pub(super) fn result(thread: Pid) -> Result<i64> {
    Ok(ptrace::getregs(thread)?.rax.cast_signed())
}

/// The call that a thread at its entry is about to make.
#[cfg(target_arch = "aarch64")]
pub(super) fn call(thread: Pid) -> Result<Call> {
    let [a, b, c, d, e, f, _, _, number, ..] = ptrace::getregs(thread)?.regs;
    Ok(Call { number: number.cast_signed(), args: [a, b, c, d, e, f] })
}

/// What the call returned to a thread at its exit: a count, a descriptor, or a negative error.
#[cfg(target_arch = "aarch64")]
pub(super) fn result(thread: Pid) -> Result<i64> {
    let [result, ..] = ptrace::getregs(thread)?.regs;
    Ok(result.cast_signed())
}
