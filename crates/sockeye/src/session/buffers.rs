//! Buffers that the connections of a thread use in turn, so that an idle connection owns none.

use std::cell::Cell;

use sockeye_proto::Workspace;

/// How much is read at once, in bytes: a message of 64 KiB, which is what many programs send at a time, with its
/// header lies whole in it, and need not be gathered.
const READ_SIZE: usize = 128 * 1024;

/// An output buffer that grew beyond this, in bytes, is not kept for the next connection.
const KEEP_OUTPUT: usize = 256 * 1024;

/// What is needed to read.
pub(super) struct InputBuffers {
    pub(super) bytes: Box<[u8]>,
    pub(super) workspace: Workspace,
}

thread_local! {
    // Taken while in use, so that a transport which drives another session inside its own poll makes its own.
    static INPUT: Cell<Option<Box<InputBuffers>>> = const { Cell::new(None) };
    static OUTPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with the thread's input buffers.
pub(super) fn with_input<R>(f: impl FnOnce(&mut InputBuffers) -> R) -> R {
    let mut buffers = INPUT.take().unwrap_or_else(|| {
        Box::new(InputBuffers {
            bytes: vec![0; READ_SIZE].into_boxed_slice(),
            workspace: Workspace::new(),
        })
    });
    let result = f(&mut buffers);
    INPUT.set(Some(buffers));
    result
}

/// An empty output buffer, with capacity if the thread has one to spare.
pub(super) fn take_output() -> Vec<u8> {
    OUTPUT.take()
}

/// Gives back the memory of an output buffer whose bytes are not needed any more.
pub(super) fn return_output(mut buffer: Vec<u8>) {
    if buffer.capacity() > 0 && buffer.capacity() <= KEEP_OUTPUT {
        buffer.clear();
        OUTPUT.set(buffer);
    }
}
