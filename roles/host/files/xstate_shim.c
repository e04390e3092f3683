// Copyright (c) 2026, the uml.mconsole contributors
// Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
// SPDX-License-Identifier: BSD-2-Clause

// A preload with which User-Mode Linux kernels before 6.13 run on a CPU with AMX.
//
// These kernels set a process's floating-point registers with a buffer of 2,696 bytes. A host takes no less than its
// whole state, which is 11,008 bytes with AMX, and says EFAULT (linux arch/x86/kernel/fpu/regset.c xstateregs_set).
// Linux 6.13 mended that (commit 3f17fed21491). So for this one request, read the whole state, lay the given bytes
// over its beginning, and set the whole.
//
//     cc -shared -fPIC -O2 -nostdlib -o xstate_shim.so xstate_shim.c
//
// It includes nothing and is linked to nothing, so that a compiler alone can build it, and so that it can be loaded
// beside any C library. Kernels before 6.13 have one thread, so one buffer is enough.

enum {
	SYS_PTRACE = 101, // x86-64
	PEEK_FIRST = 1, // PTRACE_PEEKTEXT, PEEKDATA and PEEKUSER: the result goes through a pointer
	PEEK_LAST = 3,
	GETREGSET = 0x4204,
	SETREGSET = 0x4205,
	XSTATE = 0x202, // NT_X86_XSTATE
	LARGEST = 65536,
};

struct iovec {
	void *base;
	unsigned long length;
};

extern long syscall(long number, ...);
extern int *__errno_location(void);

static unsigned char whole[LARGEST] __attribute__((aligned(64))); // the caller has only a guest kernel's 16 KiB stack

static long set_whole(long pid, struct iovec *given)
{
	struct iovec full = { whole, sizeof whole };
	const unsigned char *bytes = given->base;
	unsigned long index;

	if (syscall(SYS_PTRACE, (long)GETREGSET, pid, (long)XSTATE, &full) != 0 || full.length <= given->length)
		return syscall(SYS_PTRACE, (long)SETREGSET, pid, (long)XSTATE, given);
	for (index = 0; index < given->length; index++)
		whole[index] = bytes[index];
	return syscall(SYS_PTRACE, (long)SETREGSET, pid, (long)XSTATE, &full);
}

// The C library's own is variadic; on x86-64 both are called alike.
long ptrace(long request, long pid, long address, void *data)
{
	long result, word;

	if ((int)request == SETREGSET && address == XSTATE)
		return set_whole((int)pid, data);
	if ((int)request < PEEK_FIRST || (int)request > PEEK_LAST)
		return syscall(SYS_PTRACE, (long)(int)request, (long)(int)pid, address, data);
	result = syscall(SYS_PTRACE, (long)(int)request, (long)(int)pid, address, &word);
	if (result < 0)
		return result;
	*__errno_location() = 0;
	return word;
}
