// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Holds known amounts of memory, by function. Reads names of things to do, a line each, from
 * standard input, and after each prints "site NAME START END BYTES BLOCKS" for every function that
 * holds something, and "done". Each such function has a section for itself, which gives its bounds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE(name)                                                     \
	extern const char __start_site_##name[], __stop_site_##name[]; \
	static uint64_t name##_bytes, name##_blocks;                   \
	static __attribute__((noinline, noclone, section("site_" #name))) void name(void)

#define HOLD(site, size) (site##_bytes += (size), site##_blocks++)

/* The compiler may not know what is done with a block: it would leave the pair out. Per thread. */
static __thread void *volatile keep;

/* More than there is; the compiler must not know. */
static volatile size_t huge = (size_t)-1, vast = (size_t)1 << 40;

static void *opaque(void *p)
{
	keep = p;
	return keep;
}

SITE(by_malloc)
{
	void *p[100];

	for (size_t i = 0; i < 100; i++) {
		p[i] = opaque(malloc(100 + i));
		HOLD(by_malloc, 100 + i);
	}
	for (size_t i = 0; i < 100; i += 3) {
		free(p[i]);
		by_malloc_bytes -= 100 + i;
		by_malloc_blocks--;
	}
	free(NULL);
	opaque(malloc(0));
	HOLD(by_malloc, 0);
}

SITE(by_calloc)
{
	for (size_t i = 1; i <= 50; i++) {
		opaque(calloc(i, 24));
		HOLD(by_calloc, i * 24);
	}
	free(opaque(calloc(1, 5000)));
	if (opaque(calloc(huge, 16))) /* overflows: nothing is held */
		abort();
}

SITE(by_realloc)
{
	char *p = opaque(realloc(NULL, 100)), *q, *r;

	for (size_t size = 100; size < 300000; size = size * 3 / 2) /* moves, now and then */
		p = opaque(realloc(p, size));
	p = opaque(realloc(p, 777)); /* shrinks in place */
	HOLD(by_realloc, 777);
	q = opaque(malloc(1000));
	if (opaque(realloc(q, huge / 4))) /* fails: the old block stays */
		abort();
	HOLD(by_realloc, 1000);
	r = opaque(malloc(64));
	r = opaque(realloc(r, 0)); /* frees, or leaves a block of nothing */
	if (r)
		HOLD(by_realloc, 0);
	p = opaque(malloc(4000));
	p = opaque(realloc(p, 4001)); /* in place, where there is room */
	HOLD(by_realloc, 4001);
}

SITE(by_reallocarray)
{
	void *p = opaque(reallocarray(NULL, 10, 30));

	p = opaque(reallocarray(p, 100, 30));
	HOLD(by_reallocarray, 3000);
	if (opaque(reallocarray(p, vast, vast)))
		abort();
}

SITE(by_memalign)
{
	void *p = NULL, *untouched = &p;

	if (posix_memalign(&p, 64, 1000))
		abort();
	opaque(p);
	HOLD(by_memalign, 1000);
	p = untouched;
	if (!posix_memalign(&p, 3, 1000)) /* no power of two: fails, p is not written */
		abort();
	opaque(aligned_alloc(256, 2048));
	HOLD(by_memalign, 2048);
	opaque(memalign(4096, 300));
	HOLD(by_memalign, 300);
	opaque(valloc(123));
	HOLD(by_memalign, 123);
	free(opaque(aligned_alloc(64, 640)));
}

SITE(by_strdup)
{
	opaque(strdup("twelve bytes"));
	HOLD(by_strdup, 13);
	opaque(strndup("twelve bytes", 6));
	HOLD(by_strdup, 7);
	free(opaque(strdup("not kept")));
}

SITE(by_large)
{
	void *p;

	for (int i = 0; i < 3; i++) {
		opaque(malloc(40u << 20));
		HOLD(by_large, 40u << 20);
	}
	p = opaque(malloc(10u << 20));
	p = opaque(realloc(p, 60u << 20)); /* mremap */
	HOLD(by_large, 60u << 20);
	free(opaque(malloc(200u << 20)));
}

SITE(by_reuse)
{
	for (int i = 0; i < 20000; i++)
		free(opaque(malloc(48)));
	opaque(malloc(48));
	HOLD(by_reuse, 48);
}

/* ---- threads */

static void *handed[1000];

SITE(by_thread)
{
	for (size_t i = 0; i < 500; i++) {
		void *p = opaque(malloc(32 + i % 64));

		if (i % 5)
			free(p);
		else
			__atomic_fetch_add(&by_thread_bytes, 32 + i % 64, __ATOMIC_RELAXED),
				__atomic_fetch_add(&by_thread_blocks, 1, __ATOMIC_RELAXED);
	}
}

SITE(to_be_freed_elsewhere)
{
	for (int i = 0; i < 1000; i++) {
		handed[i] = malloc(200);
		HOLD(to_be_freed_elsewhere, 200);
	}
}

static void *thread(void *arg)
{
	by_thread();
	if (arg)
		to_be_freed_elsewhere();
	return NULL;
}

/* The C library takes memory for a thread: not ours to know how much. */
extern const char __start_site_noise[], __stop_site_noise[];

static __attribute__((noinline, noclone, section("site_noise"))) void threads(void)
{
	pthread_t id[8];

	for (uintptr_t i = 0; i < 8; i++) {
		if (pthread_create(&id[i], NULL, thread, i == 3 ? &id : NULL))
			abort();
	}
	for (int i = 0; i < 8; i++)
		pthread_join(id[i], NULL);
	for (int i = 0; i < 1000; i += 2) {
		free(handed[i]);
		to_be_freed_elsewhere_bytes -= 200;
		to_be_freed_elsewhere_blocks--;
	}
}

/* ---- many */

#define MANY 1000000

SITE(by_many)
{
	for (int i = 0; i < MANY; i++) {
		opaque(malloc(16));
		HOLD(by_many, 16);
	}
}

/* Sizes from 16 bytes to 64 KiB, most of them small. */
SITE(by_mix)
{
	static void *held[4096];
	uint32_t random = 12345;

	for (int i = 0; i < 60000; i++) {
		size_t at, size;

		random = random * 1664525 + 1013904223;
		at = random >> 20;
		size = ((size_t)16 << (random >> 8) % 13) + (random >> 12) % 16;
		if (held[at]) {
			by_mix_bytes -= *(size_t *)held[at];
			by_mix_blocks--;
			free(held[at]);
		}
		held[at] = malloc(size);
		*(size_t *)held[at] = size;
		HOLD(by_mix, size);
	}
}

/* ---- fork, exec, dlopen */

static void *inherited[100];

SITE(before_fork)
{
	for (int i = 0; i < 100; i++) {
		inherited[i] = malloc(1000);
		HOLD(before_fork, 1000);
	}
}

SITE(in_child)
{
	opaque(malloc(4321));
	HOLD(in_child, 4321);
}

static const char *self;

static void report(void);
static void serve(void);

/* The child answers in our place; we wait for it to end. */
static void fork_child(void)
{
	pid_t pid = fork();

	if (pid) {
		for (int i = 0; i < 50; i++) { /* after the fork: the child has its copies */
			free(inherited[i]);
			inherited[i] = NULL;
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			abort();
		before_fork_bytes -= 50 * 1000;
		before_fork_blocks -= 50;
		return;
	}
	printf("pid %d\n", getpid());
	serve();
	_exit(0);
}

static void free_inherited(void)
{
	for (int i = 0; i < 30; i++) {
		free(inherited[i]);
		before_fork_bytes -= 1000;
		before_fork_blocks--;
	}
}

static void exec_self(void)
{
	fflush(stdout);
	execl(self, self, NULL);
	abort();
}

static __attribute__((noinline, noclone, section("site_noise"))) void open_library(const char *path)
{
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!lib || !dlsym(lib, "mi_malloc"))
		abort();
	keep = dlsym(lib, "mi_malloc");
}

SITE(by_library)
{
	void *(*take)(size_t) = (void *(*)(size_t))(uintptr_t)keep;

	for (int i = 0; i < 10; i++) {
		if (!take(700))
			abort();
		HOLD(by_library, 700);
	}
}

/* A filter that knows no uretprobe: kernels without commit cf6cb56ef244 kill for it. */
static void be_filtered(void)
{
	/* As in linux/filter.h, which musl-gcc does not find. */
	static const struct {
		uint16_t code;
		uint8_t yes, no;
		uint32_t k;
	} code[] = {
		{0x20, 0, 0, 0},	   /* the system call's number */
		{0x15, 0, 1, 335},	   /* is it uretprobe? */
		{0x06, 0, 0, 0x80000000u}, /* kill */
		{0x06, 0, 0, 0x7fff0000u}, /* allow */
	};
	struct {
		unsigned short len;
		const void *filter;
	} prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
		abort();
}

/* ---- the rest */

#define PRINT(name)                                                                \
	do {                                                                       \
		if (name##_blocks)                                                 \
			printf("site %s %llx %llx %llu %llu\n", #name,             \
			       (unsigned long long)(uintptr_t)__start_site_##name, \
			       (unsigned long long)(uintptr_t)__stop_site_##name,  \
			       (unsigned long long)name##_bytes,                   \
			       (unsigned long long)name##_blocks);                 \
	} while (0)

static void report(void)
{
	PRINT(by_malloc);
	PRINT(by_calloc);
	PRINT(by_realloc);
	PRINT(by_reallocarray);
	PRINT(by_memalign);
	PRINT(by_strdup);
	PRINT(by_large);
	PRINT(by_reuse);
	PRINT(by_thread);
	PRINT(to_be_freed_elsewhere);
	PRINT(by_many);
	PRINT(by_mix);
	PRINT(before_fork);
	PRINT(in_child);
	PRINT(by_library);
	printf("site noise %llx %llx 0 0\n", (unsigned long long)(uintptr_t)__start_site_noise,
	       (unsigned long long)(uintptr_t)__stop_site_noise);
	printf("done\n");
	fflush(stdout);
}

static const struct {
	const char *name;
	void (*run)(void);
} actions[] = {
	{"malloc", by_malloc},
	{"calloc", by_calloc},
	{"realloc", by_realloc},
	{"reallocarray", by_reallocarray},
	{"memalign", by_memalign},
	{"strdup", by_strdup},
	{"large", by_large},
	{"reuse", by_reuse},
	{"threads", threads},
	{"many", by_many},
	{"mix", by_mix},
	{"before_fork", before_fork},
	{"fork", fork_child},
	{"in_child", in_child},
	{"free_inherited", free_inherited},
	{"exec", exec_self},
	{"library", by_library},
	{"seccomp", be_filtered},
};

static void serve(void)
{
	char line[512];

	report();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "open ", 5))
			open_library(line + 5);
		for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
			if (!strcmp(line, actions[i].name))
				actions[i].run();
		}
		report();
	}
}

int main(int argc, char **argv)
{
	static char out[4096], in[4096];

	(void)argc;
	self = argv[0];
	/* The C library is not to take memory for these while we are watched. */
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	setvbuf(stdin, in, _IOLBF, sizeof(in));
	serve();
	return 0;
}
