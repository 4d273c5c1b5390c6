// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A program that takes pages by known functions. Prints "site NAME FROM TO" (addresses) for each,
 * then "ready"; does what each line of its input says and answers with "ok", or "ok PID".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define HUGE (2ul << 20)

/* Each in a section of its own, whose ends the linker tells. */
#define SITE(name)                                               \
	extern char __start_site_##name[], __stop_site_##name[]; \
	static __attribute__((noinline, section("site_" #name)))

#define TELL(name) printf("site %s %p %p\n", #name, __start_site_##name, __stop_site_##name)

static char *block; /* what map and huge took last */
static size_t block_bytes;

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		exit(1);
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

/* The loop itself is the site's: it is inlined. */
static inline __attribute__((always_inline)) void touch(volatile char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		at[i] = 1;
}

SITE(map_touch) void map_touch(size_t pages)
{
	block_bytes = pages * PAGE;
	block = map(block_bytes);
	touch(block, block_bytes);
}

/* Writes again to what map_touch has, or had: whose pages they are then is the question. */
SITE(touch_again) void touch_again(void)
{
	touch(block, block_bytes);
}

/* Reads map the zero page: nobody's memory. The writes then are somebody's. */
SITE(read_only) uint64_t read_only(size_t pages)
{
	uint64_t sum = 0;

	block_bytes = pages * PAGE;
	block = map(block_bytes);
	for (size_t i = 0; i < block_bytes; i += PAGE)
		sum += (unsigned char)((volatile char *)block)[i];
	return sum;
}

/* Reads what is there, or is not any more. */
static void look(void)
{
	for (size_t i = 0; i < block_bytes; i += PAGE)
		(void)((volatile char *)block)[i];
}

SITE(big_malloc) void big_malloc(size_t pages)
{
	char *p = malloc(pages * PAGE);

	if (p)
		memset(p, 1, pages * PAGE);
	__asm__ volatile("" : : "r"(p) : "memory");
}

SITE(read_into) void read_into(size_t pages)
{
	char *at = map(pages * PAGE);
	int fd = open("/dev/zero", O_RDONLY);
	size_t done = 0;
	ssize_t n;

	while (done < pages * PAGE && (n = read(fd, at + done, pages * PAGE - done)) > 0)
		done += (size_t)n;
	close(fd);
}

SITE(huge_touch) void huge_touch(size_t huge)
{
	size_t bytes = (huge + 1) * HUGE;
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at = (char *)(((uintptr_t)at + HUGE - 1) / HUGE * HUGE);
	madvise(at, huge * HUGE, MADV_HUGEPAGE);
	/* Not at the beginning of each. */
	for (size_t i = 0; i < huge; i++)
		((volatile char *)at)[i * HUGE + (i % 2 ? 0 : 7 * PAGE)] = 1;
}

SITE(thread_touch) void *thread_touch(void *pages)
{
	touch(map((size_t)(uintptr_t)pages * PAGE), (size_t)(uintptr_t)pages * PAGE);
	return NULL;
}

static void threads(size_t pages)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread_touch, (void *)(uintptr_t)(pages / 4));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Objects from two call sites in turns, three of the first to one of the second. */
static __attribute__((noinline)) char *object(size_t size)
{
	char *p = malloc(size);

	if (p)
		memset(p, 1, size);
	return p;
}

SITE(objects_a) void objects_a(size_t size)
{
	char *p = object(size);

	__asm__ volatile("" : : "r"(p) : "memory");
}

SITE(objects_b) void objects_b(size_t size)
{
	char *p = object(size);

	__asm__ volatile("" : : "r"(p) : "memory");
}

static void objects(size_t size)
{
	for (size_t i = 0; i * size < 32ul << 20; i++) {
		if (i % 4 == 3)
			objects_b(size);
		else
			objects_a(size);
	}
}

/* A buffer for a moment, as a request has. */
SITE(scratch) void scratch(void)
{
	char *p = malloc(2048);

	if (p)
		memset(p, 1, 2048);
	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
}

/* Only objects_a's stay. */
static void leak(size_t size)
{
	for (size_t i = 0; i * size < 32ul << 20; i++) {
		scratch();
		objects_a(size);
	}
}

/* The first half of what the parent has is written to: copied. Lives until the parent ends. */
static pid_t start_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	block_bytes /= 2;
	touch_again();
	kill(getppid(), SIGUSR1);
	for (;;)
		pause();
}

static pid_t child(void)
{
	sigset_t set;
	int sig;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = start_child();
	sigwait(&set, &sig);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* One at a time; each writes to what is its parent's. */
static void forks(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			touch_again();
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void tell(void)
{
	TELL(map_touch);
	TELL(touch_again);
	TELL(read_only);
	TELL(big_malloc);
	TELL(read_into);
	TELL(huge_touch);
	TELL(thread_touch);
	TELL(objects_a);
	TELL(objects_b);
	TELL(scratch);
	printf("ready\n");
}

static void move(void)
{
	char *to = map(block_bytes);

	block = mremap(block, block_bytes, block_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

int main(int argc, char **argv)
{
	char line[64], word[16];
	pid_t pid = 0;
	size_t n;

	(void)argc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	tell();
	while (fgets(line, sizeof(line), stdin)) {
		n = 0;
		if (sscanf(line, "%15s %zu", word, &n) < 1)
			continue;
		if (!strcmp(word, "map"))
			map_touch(n);
		else if (!strcmp(word, "again"))
			touch_again();
		else if (!strcmp(word, "readonly"))
			read_only(n);
		else if (!strcmp(word, "look"))
			look();
		else if (!strcmp(word, "malloc"))
			big_malloc(n);
		else if (!strcmp(word, "read"))
			read_into(n);
		else if (!strcmp(word, "half"))
			munmap(block + block_bytes / 2, block_bytes / 2);
		else if (!strcmp(word, "dontneed"))
			madvise(block, block_bytes, MADV_DONTNEED);
		else if (!strcmp(word, "huge"))
			huge_touch(n);
		else if (!strcmp(word, "threads"))
			threads(n);
		else if (!strcmp(word, "objects"))
			objects(n);
		else if (!strcmp(word, "leak"))
			leak(n);
		else if (!strcmp(word, "move"))
			move();
		else if (!strcmp(word, "fork"))
			pid = child();
		else if (!strcmp(word, "forks"))
			forks(n);
		else if (!strcmp(word, "endchild"))
			end_child(pid);
		else if (!strcmp(word, "exec"))
			execv("/proc/self/exe", argv);
		else
			return 2;
		printf("ok %d\n", pid);
	}
	return 0;
}
