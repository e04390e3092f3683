// Copyright (c) 2026, the uml.mconsole contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Fill the AVX registers with a pattern that is this thread's alone, give the processor away again and again, and look
// whether they still hold it. Usage: avx_registers SECONDS, which ends with 0 when they always did, else with 1.
//
// Two threads do so: they share one process of the VM host, so the guest's kernel has to set the registers at each
// switch, while two guest processes have a host process each. Without a C library, so that the test's guest can run it.

enum {
	SYS_SCHED_YIELD = 24,
	SYS_GETPID = 39,
	SYS_CLONE = 56,
	SYS_EXIT = 60,
	SYS_WAIT4 = 61,
	SYS_TIME = 201,
	SHARED_MEMORY = 0x100, // CLONE_VM
	SIGCHLD = 17,
	THREADS = 2,
	WORDS = 16 * 4, // sixteen registers of 32 bytes
	SPIN = 20000,
};

typedef unsigned long word;

static word patterns[THREADS][WORDS] __attribute__((aligned(32)));
static word found[THREADS][WORDS] __attribute__((aligned(32)));
static char stack[65536] __attribute__((aligned(64)));
static long end;

static long call(long number, long first, long second)
{
	long result;

	__asm__ volatile("xor %%r10d, %%r10d\n\tsyscall"
			 : "=a"(result)
			 : "a"(number), "D"(first), "S"(second), "d"(0)
			 : "rcx", "r10", "r11", "memory");
	return result;
}

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD(n) "vmovdqa " #n "*32(%[from]), %%ymm" #n "\n\t"
#define STORE(n) "vmovdqa %%ymm" #n ", " #n "*32(%[to])\n\t"
#define ALL "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
	"xmm13", "xmm14", "xmm15"

// One go: load, spin and make a system call with the registers full, store. Both switches of the guest are met.
static void hold(word *from, word *to)
{
	long result = SYS_SCHED_YIELD, turns = SPIN;

	__asm__ volatile(EACH(LOAD)
			 "1: dec %[turns]\n\t"
			 "jnz 1b\n\t"
			 "syscall\n\t"
			 EACH(STORE)
			 : "+a"(result), [turns] "+r"(turns)
			 : [from] "r"(from), [to] "r"(to)
			 : "rcx", "r11", "memory", ALL);
}

__attribute__((noreturn)) static void watch(int thread)
{
	word seed = ((word)call(SYS_GETPID, 0, 0) + thread) * 0x9E3779B97F4A7C15UL;
	int index, wrong = 0;

	for (index = 0; index < WORDS; index++)
		patterns[thread][index] = seed + (word)index;
	while (!wrong && call(SYS_TIME, 0, 0) < end) {
		hold(patterns[thread], found[thread]);
		for (index = 0; index < WORDS; index++)
			wrong |= patterns[thread][index] != found[thread][index];
	}
	if (thread == 0) {
		long other = 0;

		call(SYS_WAIT4, -1, (long)&other);
		wrong |= other != 0;
	}
	for (;;)
		call(SYS_EXIT, wrong, 0);
}

__attribute__((used)) static void second(void)
{
	watch(1);
}

static long number(const char *text)
{
	long value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (*text - '0');
	return value;
}

__attribute__((used)) static void run(long *arguments)
{
	long result = SYS_CLONE;

	end = call(SYS_TIME, 0, 0) + (arguments[0] > 1 ? number((char *)arguments[2]) : 1);
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "call second\n\t"
			 "1:"
			 : "+a"(result)
			 : "D"(SHARED_MEMORY | SIGCHLD), "S"(stack + sizeof stack)
			 : "rcx", "r11", "memory");
	if (result < 0)
		call(SYS_EXIT, 2, 0);
	watch(0);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
