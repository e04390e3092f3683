// Copyright (c) 2026, the uml.mconsole contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A double of a VM host whose CPU has AMX, as a preload for every program: a process's extended state has 11,008 bytes,
// a smaller buffer reads its beginning, and nothing but the whole can be set.
//
// The kernels call `ptrace` of the C library, the probe and the cure call `syscall`: both are answered here. The real
// system call is made by hand, since this `syscall` is the only one that a program finds.

enum {
	SYS_PTRACE = 101,
	PEEK_FIRST = 1,
	PEEK_LAST = 3,
	GETREGSET = 0x4204,
	SETREGSET = 0x4205,
	XSTATE = 0x202,
	WHOLE = 11008,
	EFAULT = 14,
};

struct iovec {
	unsigned char *base;
	unsigned long length;
};

extern int *__errno_location(void);

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long get(long pid, struct iovec *wanted)
{
	unsigned long given = wanted->length < WHOLE ? wanted->length : WHOLE;
	long result = call(SYS_PTRACE, GETREGSET, pid, XSTATE, (long)wanted, 0, 0);

	if (result != 0)
		return result;
	for (; wanted->length < given; wanted->length++)
		wanted->base[wanted->length] = 0;
	return 0;
}

static long traced(long request, long pid, long address, long data)
{
	if (request == GETREGSET && address == XSTATE)
		return get(pid, (struct iovec *)data);
	if (request == SETREGSET && address == XSTATE && ((struct iovec *)data)->length < WHOLE)
		return -EFAULT;
	return call(SYS_PTRACE, request, pid, address, data, 0, 0);
}

static long answer(long result)
{
	if (result >= 0 || result < -4095)
		return result;
	*__errno_location() = (int)-result;
	return -1;
}

long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_PTRACE)
		return answer(traced((int)a, (int)b, c, d));
	return answer(call(number, a, b, c, d, e, f));
}

long ptrace(long request, long pid, long address, long data)
{
	long word;

	if ((int)request < PEEK_FIRST || (int)request > PEEK_LAST)
		return answer(traced((int)request, (int)pid, address, data));
	if (answer(call(SYS_PTRACE, (int)request, (int)pid, address, (long)&word, 0, 0)) < 0)
		return -1;
	*__errno_location() = 0;
	return word;
}
