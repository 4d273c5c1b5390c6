/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program whose stacks are walked. Each line of its input names a scene; it plays it, and tells
 * what its own backtrace() says of the stack at stack_mark():
 *
 *	frames PC PC ...   the innermost is in stack_mark, the next its return address
 *	done
 *
 * Included by stack_plain.c, stack_fp.c, stack_static.c, which are built with other options.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE   __attribute__((noinline, noclone))
#define FRAMES_MAX 256
/* Keeps calls from becoming jumps. */
#define NOT_LAST() __asm__ volatile("" ::: "memory")

/* Shared with children. */
static struct {
	int n;
	void *pc[FRAMES_MAX];
} * seen;

volatile long stack_sink;

NOINLINE void stack_mark(void)
{
	if (seen)
		seen->n = backtrace(seen->pc, FRAMES_MAX);
	NOT_LAST();
}

NOINLINE void stack_hot(void)
{
	NOT_LAST();
}

static void (*stack_at)(void) = stack_mark;

/* Many registers are saved, and used. */
NOINLINE long stack_level3(long a, long b, long c, long d, long e, long f)
{
	long x = a * b + c, y = b * c + d, z = c * d + e, u = d * e + f, v = e * f + a;

	stack_at();
	stack_sink += x;
	return x ^ y ^ z ^ u ^ v ^ (a + b + c + d + e + f);
}

/* The frame's size is not known before it runs. */
NOINLINE long stack_level2(size_t n)
{
	char *p = alloca(n);
	long r;

	memset(p, (int)n, n);
	r = stack_level3(p[0], p[n - 1], (long)n, 3, 4, 5);
	stack_sink += p[n / 2];
	return r;
}

/* A frame that is more than 32 KiB. */
NOINLINE long stack_level1(size_t n)
{
	volatile char big[100000];
	long r;

	big[n] = 1;
	r = stack_level2(n);
	return r + big[n];
}

/* The stack is realigned, with and without a frame of unknown size. */
NOINLINE long stack_aligned(size_t n)
{
	_Alignas(64) volatile char a[128];
	char *p = alloca(n);
	long r;

	a[n % 128] = 1;
	memset(p, (int)n, n);
	r = stack_level3((long)(uintptr_t)a % 64, p[n - 1], 2, 3, 4, 5);
	return r + a[n % 128] + p[n / 2];
}

NOINLINE long stack_aligned_plain(size_t n)
{
	_Alignas(64) volatile char a[128];
	long r;

	a[n % 128] = 1;
	r = stack_aligned(n);
	return r + a[n % 128];
}

NOINLINE long stack_deep(int n)
{
	long r;

	if (!n) {
		stack_at();
		NOT_LAST();
		return 1;
	}
	r = stack_deep(n - 1);
	NOT_LAST();
	return r + n;
}

static int compare(const void *a, const void *b)
{
	stack_level2(10);
	return *(const int *)a - *(const int *)b;
}

NOINLINE void stack_qsort(size_t n)
{
	int v[64];

	for (size_t i = 0; i < n; i++)
		v[i] = (int)(n - i);
	qsort(v, n, sizeof(*v), compare);
	stack_sink += v[0];
}

static void *thread(void *arg)
{
	stack_level1((size_t)(uintptr_t)arg);
	return NULL;
}

static void on_signal(int sig)
{
	stack_level2((size_t)sig);
	NOT_LAST();
}

NOINLINE void stack_signal(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
	static char other[65536];
	stack_t alt = {.ss_sp = other, .ss_size = sizeof(other)};

	sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	NOT_LAST();
}

static jmp_buf stack_back;

__attribute__((noreturn, used)) NOINLINE void stack_never(void)
{
	stack_level2(12);
	longjmp(stack_back, 1);
}

#ifdef __x86_64__
/*
 * stack_last: its call is its last instruction, so what that returns to is another function, whose
 * frame is of another size. stack_between: a signal comes between two instructions, where the rule
 * changes.
 */
__asm__(".text\n"
	".type stack_last, @function\n"
	"stack_last:\n"
	".cfi_startproc\n"
	"	sub $24, %rsp\n"
	".cfi_adjust_cfa_offset 24\n"
	"	call stack_never\n"
	".cfi_endproc\n"
	".size stack_last, . - stack_last\n"
	".type stack_between, @function\n"
	"stack_between:\n"
	".cfi_startproc\n"
	"	sub $8, %rsp\n"
	"	int3\n"
	".cfi_adjust_cfa_offset 8\n"
	"	add $8, %rsp\n"
	".cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size stack_between, . - stack_between\n");
void stack_last(void);
void stack_between(void);
#else
#define stack_last	stack_never
#define stack_between() raise(SIGTRAP)
#endif

NOINLINE void stack_trap(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGTRAP, &sa, NULL);
	stack_between();
	NOT_LAST();
}

NOINLINE void stack_noreturn(void)
{
	if (!setjmp(stack_back))
		stack_last();
	NOT_LAST();
}

/* The mark and what is looked at have the same callers. */
NOINLINE void stack_alloc(size_t n)
{
	void *p, *q;

	stack_mark();
	p = malloc(n);
	stack_sink += (long)(uintptr_t)p;
	q = realloc(p, 3 * n);
	stack_sink += (long)(uintptr_t)q;
	p = calloc(n, 2);
	stack_sink += (long)(uintptr_t)p;
	free(p);
	free(q);
	NOT_LAST();
}

NOINLINE void stack_touch(void)
{
	volatile char *p =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	stack_mark();
	p[100] = 1;
	munmap((void *)p, 4096);
}

static void (*plugin)(void (*)(void));

#ifndef STACK_STATIC
static void load(const char *self)
{
	char path[4096];
	void *h;

	snprintf(path, sizeof(path), "%.*s/stack_plugin", (int)(strrchr(self, '/') - self), self);
	h = dlopen(path, RTLD_NOW);
	plugin = h ? (void (*)(void (*)(void)))(uintptr_t)dlsym(h, "stack_plugin") : NULL;
	if (!plugin)
		fprintf(stderr, "%s\n", dlerror());
}
#endif

static void in_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		stack_level1(20);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void in_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread, (void *)33);
	pthread_join(t, NULL);
}

/* Threads that are at the mark all the time, by `depth` different ways. */
static void *storm(void *arg)
{
	for (int i = 0; i < 4000; i++)
		stack_deep(i % 8);
	return arg;
}

static void in_storm(void)
{
	pthread_t t[8];

	stack_at = stack_hot;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, storm, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	stack_at = stack_mark;
}

/* "hot TIMES DEPTH": for measurements. */
static void in_loop(const char *args)
{
	int times = 0, depth = 0;

	if (sscanf(args, "%d %d", &times, &depth) != 2)
		return;
	stack_at = stack_hot;
	for (int i = 0; i < times; i++)
		stack_deep(depth);
	stack_at = stack_mark;
}

NOINLINE void stack_play(const char *scene, const char *self)
{
	if (!strcmp(scene, "levels"))
		stack_level1(40);
	else if (!strcmp(scene, "aligned"))
		stack_aligned_plain(24);
	else if (!strncmp(scene, "deep ", 5))
		stack_deep(atoi(scene + 5));
	else if (!strncmp(scene, "qsort ", 6))
		stack_qsort((size_t)atoi(scene + 6) % 65);
	else if (!strcmp(scene, "thread"))
		in_thread();
	else if (!strcmp(scene, "signal"))
		stack_signal(0);
	else if (!strcmp(scene, "sigaltstack"))
		stack_signal(SA_ONSTACK);
	else if (!strcmp(scene, "trap"))
		stack_trap();
	else if (!strcmp(scene, "noreturn"))
		stack_noreturn();
	else if (!strcmp(scene, "alloc"))
		stack_alloc(100);
	else if (!strcmp(scene, "touch"))
		stack_touch();
	else if (!strcmp(scene, "fork"))
		in_child();
#ifndef STACK_STATIC
	else if (!strcmp(scene, "load"))
		load(self);
#endif
	else if (!strcmp(scene, "plugin") && plugin)
		plugin(stack_mark);
	else if (!strcmp(scene, "storm"))
		in_storm();
	else if (!strncmp(scene, "hot ", 4))
		in_loop(scene + 4);
	(void)self;
	NOT_LAST();
}

int main(int argc, char **argv)
{
	char scene[64];

	(void)argc;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	stack_mark(); /* backtrace() loads libgcc_s when first called */
	printf("ready\n");
	fflush(stdout);
	while (fgets(scene, sizeof(scene), stdin)) {
		scene[strcspn(scene, "\n")] = 0;
		seen->n = 0;
		stack_play(scene, argv[0]);
		printf("frames");
		for (int i = 0; i < seen->n; i++)
			printf(" %lx", (unsigned long)(uintptr_t)seen->pc[i]);
		printf("\ndone\n");
		fflush(stdout);
	}
	return 0;
}
