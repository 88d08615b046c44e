//! What std would bring: memory, a way out, a start.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 64 << 20;

/// Hands out one static array from its start and takes nothing back.
#[repr(align(4096))]
struct Arena {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `memory` is reached only through `alloc`, whose atomic update of `used` gives every
// caller bytes of its own.
unsafe impl Sync for Arena {}

// SAFETY: a block starts at a multiple of its alignment, lies inside `memory` and overlaps no
// other, because `used`
// only grows. An alignment above that of the arena itself is refused.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = |used: usize| used.checked_next_multiple_of(layout.align());
        let end = |used| start(used)?.checked_add(layout.size()).filter(|&end| end <= SIZE);
        if layout.align() > align_of::<Self>() {
            return ptr::null_mut();
        }
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end) {
            // SAFETY: `end` has checked that start(used) <= SIZE.
            Ok(used) => start(used).map_or(ptr::null_mut(), |at| unsafe { self.memory.get().cast::<u8>().add(at) }),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

// For memcpy and its kin, for the start code that calls main, and for this one function.
#[link(name = "c")]
unsafe extern "C" {
    safe fn _exit(status: i32) -> !;
}

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    _exit(101)
}

// The compiled alloc names it, for unwinding; with panic = "abort" nothing calls it.
// SAFETY: only an unwinder would call it, and none is linked; std, where the name comes from, is
// not there either.
#[cfg(not(feature = "std"))]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// SAFETY: C's start code calls a function of this name and type, once; no other of this name is
// linked.
#[unsafe(no_mangle)]
extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    super::run()
}
