// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A program whose memory behaves in a known way, for `hopscope mem` to watch:
 *
 *	mem_shapes leak RATE           RATE bytes/s, for ever
 *	mem_shapes sawtooth SIZE MS    fills SIZE in MS milliseconds, gives it back, again
 *	mem_shapes warmup SIZE MS      towards SIZE, a third of what is missing each MS, then flat
 *	mem_shapes cache FILE SIZE     writes SIZE to a file, slowly, and reads it
 *	mem_shapes noise SIZE SWING [MS]  SIZE and up to SWING more, at random, each MS (20)
 *	mem_shapes hold SIZE           SIZE, and waits
 *
 * Memory is mapped and touched page by page, so that what the kernel counts is what was asked for.
 * It says "ready" on stdout and runs until it is killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 20
#define PAGE	4096ul

static char *arena;
static size_t held; /* bytes of it that are touched */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(unsigned int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static void reserve(size_t size)
{
	arena = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	/* No huge pages: they would make steps of 2 MiB. */
	madvise(arena, size, MADV_NOHUGEPAGE);
}

/* Touches or gives back pages until `bytes` of the arena are held. */
static void hold(size_t bytes)
{
	bytes &= ~(PAGE - 1);
	for (; held < bytes; held += PAGE)
		arena[held] = 1;
	if (held > bytes)
		madvise(arena + bytes, held - bytes, MADV_DONTNEED);
	held = bytes;
}

static void leak(double rate)
{
	double from = now();

	reserve(1ul << 36);
	for (;; pause_ms(STEP_MS))
		hold((size_t)(rate * (now() - from)));
}

static void sawtooth(size_t size, double period_ms)
{
	double from = now(), at;

	reserve(size + PAGE);
	for (;; pause_ms(STEP_MS)) {
		at = (now() - from) * 1e3 / period_ms;
		hold((size_t)((at - (double)(long)at) * (double)size));
	}
}

static void warmup(size_t size, unsigned int ms)
{
	reserve(size + PAGE);
	for (;; pause_ms(ms))
		hold(held + (size - held) / 3);
}

static void cache(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	static char block[1 << 16];

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	memset(block, 1, sizeof(block));
	for (size_t at = 0; at < size; at += sizeof(block), pause_ms(STEP_MS))
		if (write(fd, block, sizeof(block)) < 0)
			exit(1);
	for (;; pause_ms(STEP_MS))
		if (read(fd, block, sizeof(block)) == 0)
			lseek(fd, 0, SEEK_SET);
}

static void noise(size_t size, size_t swing, unsigned int ms)
{
	reserve(size + 2 * swing);
	for (srandom(1);; pause_ms(ms ? ms : STEP_MS))
		hold(size + (size_t)((double)random() / (double)RAND_MAX * (double)swing));
}

static void wait_for_ever(size_t size)
{
	reserve(size + PAGE);
	for (hold(size);; pause_ms(1000))
		;
}

static size_t size_of(char **argv, int argc, int i)
{
	return i < argc ? strtoul(argv[i], NULL, 0) : 0;
}

int main(int argc, char **argv)
{
	const char *shape = argc > 1 ? argv[1] : "";

	puts("ready");
	fflush(stdout);
	if (!strcmp(shape, "leak") && argc == 3)
		leak(strtod(argv[2], NULL));
	else if (!strcmp(shape, "sawtooth") && argc == 4)
		sawtooth(size_of(argv, argc, 2), strtod(argv[3], NULL));
	else if (!strcmp(shape, "warmup") && argc == 4)
		warmup(size_of(argv, argc, 2), (unsigned int)size_of(argv, argc, 3));
	else if (!strcmp(shape, "cache") && argc == 4)
		cache(argv[2], size_of(argv, argc, 3));
	else if (!strcmp(shape, "noise") && argc >= 4)
		noise(size_of(argv, argc, 2), size_of(argv, argc, 3),
		      (unsigned int)size_of(argv, argc, 4));
	else if (!strcmp(shape, "hold") && argc == 3)
		wait_for_ever(size_of(argv, argc, 2));
	fputs("usage: mem_shapes leak|sawtooth|warmup|cache|noise|hold ...\n", stderr);
	return 2;
}
