//! Freed memory goes back to the system.
//!
//! The allocator keeps what many small rows took, below whatever is still in use; together with the next long row that
//! would be more than an engine may have (design P11).

/// Gives back every page that holds nothing. Takes a few milliseconds: for moments when much was freed.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called by any thread at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
