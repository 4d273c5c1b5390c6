/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For tests of stack walks: starts the programs of tests/targets/stack_*.c, attaches the walks of
 * tests/bpf/stack_walk.bpf.c to them, and compares what both say. Includes after cmocka.
 */
#ifndef HOPSCOPE_TESTS_STACK_RUN_H
#define HOPSCOPE_TESTS_STACK_RUN_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <capstone/capstone.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/unwind.h"
#include "sym/maps.h"
#include "tests/bpf/stack_walk.skel.h"

#define FRAMES_MAX 256
#define LINKS_MAX  512
#define MULTI_MAX  16
#define HITS_MAX   65536

/* As in stack_walk.bpf.c. */
struct hit {
	uint64_t id, pc, cookie;
	uint32_t tgid, tid;
};

struct target {
	pid_t pid;
	FILE *in, *out;
	char path[PATH_MAX];
	uint64_t seen[FRAMES_MAX]; /* what the program said last */
	size_t n_seen;
};

struct walker {
	struct stack_walk_bpf *skel;
	struct unwinder *u;
	struct ring_buffer *ring;
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	int multi[MULTI_MAX]; /* fds of links */
	size_t n_multi;
	struct hit hits[HITS_MAX];
	size_t n_hits;
};

static struct walker w;

/* ---- the program */

static char *bin_dir(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	assert_true(n > 0);
	path[n] = 0;
	dirname(dirname(path));
	return path;
}

static void expect(struct target *t, const char *want)
{
	char line[8192], *at;

	for (;;) {
		assert_non_null(fgets(line, sizeof(line), t->out));
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, want))
			return;
		if (strncmp(line, "frames", 6) != 0)
			continue;
		t->n_seen = 0;
		for (at = line + 6; *at && t->n_seen < FRAMES_MAX;)
			t->seen[t->n_seen++] = strtoull(at, &at, 16);
	}
}

static void target__start(struct target *t, const char *name)
{
	char dir[PATH_MAX];
	int in[2], out[2];

	memset(t, 0, sizeof(*t));
	assert_true(snprintf(t->path, sizeof(t->path), "%s/targets/%s", bin_dir(dir), name) <
		    (int)sizeof(t->path));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	t->pid = fork();
	assert_true(t->pid >= 0);
	if (!t->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(t->path, t->path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	t->in = fdopen(in[1], "w");
	t->out = fdopen(out[0], "r");
	expect(t, "ready");
}

static void target__play(struct target *t, const char *scene)
{
	fprintf(t->in, "%s\n", scene);
	fflush(t->in);
	expect(t, "done");
}

static void target__stop(struct target *t)
{
	fclose(t->in);
	fclose(t->out);
	waitpid(t->pid, NULL, 0);
}

/* ---- the walks */

static int on_hit(void *ctx, void *data, size_t len)
{
	(void)ctx;
	assert_true(len >= sizeof(struct hit));
	if (w.n_hits < HITS_MAX)
		memcpy(&w.hits[w.n_hits++], data, sizeof(struct hit));
	return 0;
}

#define TRACE_UPROBE_MULTI 48 /* Linux 6.6 */

static void walker__open(struct target *t, uint32_t max_stacks, uint32_t max_rows)
{
	memset(&w, 0, sizeof(w));
	w.skel = stack_walk_bpf__open();
	assert_non_null(w.skel);
	assert_int_equal(unwinder__open(&w.u, w.skel->obj, &t->pid, 1), 0);
	if (max_stacks)
		bpf_map__set_max_entries(w.skel->maps.stacks, max_stacks);
	if (max_rows)
		bpf_map__set_max_entries(w.skel->maps.unwind_rows, max_rows);
	bpf_program__set_expected_attach_type(w.skel->progs.walk_multi, TRACE_UPROBE_MULTI);
	assert_int_equal(stack_walk_bpf__load(w.skel), 0);
	assert_int_equal(unwinder__fill(w.u), 0);
	w.ring = ring_buffer__new(bpf_map__fd(w.skel->maps.hits), on_hit, NULL, NULL);
	assert_non_null(w.ring);
}

static void walker__detach(void)
{
	while (w.n_links)
		bpf_link__destroy(w.links[--w.n_links]);
	while (w.n_multi)
		close(w.multi[--w.n_multi]);
}

static void walker__close(void)
{
	walker__detach();
	ring_buffer__free(w.ring);
	unwinder__close(w.u);
	stack_walk_bpf__destroy(w.skel);
}

/* Plays a scene; w.hits are the walks it led to. */
static void walker__play(struct target *t, const char *scene)
{
	ring_buffer__consume(w.ring);
	w.n_hits = 0;
	target__play(t, scene);
	ring_buffer__consume(w.ring);
}

static struct heap_counters counters(void)
{
	struct heap_counters c = {0};

	unwinder__counters(w.u, &c);
	return c;
}

struct symbol {
	uint64_t value, size, offset;
};

/* A function of a file, by .symtab or .dynsym. */
static bool find_symbol(const char *path, const char *name, struct symbol *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf_Scn *scn = NULL;
	bool found = false;
	size_t n_ph = 0;
	Elf *elf;

	assert_true(fd >= 0);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	while (!found && (scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;

		gelf_getshdr(scn, &sh);
		if (sh.sh_type != SHT_SYMTAB && sh.sh_type != SHT_DYNSYM)
			continue;
		for (size_t i = 0; i < sh.sh_size / sh.sh_entsize && !found; i++) {
			GElf_Sym sym;

			gelf_getsym(elf_getdata(scn, NULL), (int)i, &sym);
			if (!sym.st_shndx || GELF_ST_TYPE(sym.st_info) != STT_FUNC ||
			    strcmp(elf_strptr(elf, sh.sh_link, sym.st_name), name) != 0)
				continue;
			out->value = sym.st_value;
			out->size = sym.st_size;
			found = true;
		}
	}
	elf_getphdrnum(elf, &n_ph);
	for (size_t i = 0; found && i < n_ph; i++) {
		GElf_Phdr ph;

		gelf_getphdr(elf, (int)i, &ph);
		if (ph.p_type == PT_LOAD && out->value >= ph.p_vaddr &&
		    out->value < ph.p_vaddr + ph.p_filesz)
			out->offset = out->value - ph.p_vaddr + ph.p_offset;
	}
	elf_end(elf);
	close(fd);
	return found;
}

static bool attach(struct bpf_program *prog, bool ret, pid_t pid, const char *path, uint64_t offset,
		   uint64_t cookie)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = ret, .bpf_cookie = cookie);
	struct bpf_link *link;

	assert_true(w.n_links < LINKS_MAX);
	link = bpf_program__attach_uprobe_opts(prog, pid, path, offset, &opts);
	if (!link)
		return false;
	w.links[w.n_links++] = link;
	return true;
}

static struct symbol attach_to(struct bpf_program *prog, bool ret, pid_t pid, const char *path,
			       const char *name)
{
	struct symbol s;

	assert_true(find_symbol(path, name, &s));
	assert_true(attach(prog, ret, pid, path, s.offset, 0));
	return s;
}

/* union bpf_attr of BPF_LINK_CREATE for BPF_TRACE_UPROBE_MULTI (Linux 6.6), newer than libbpf's. */
struct multi_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

/* All at once with one link. One instruction that the kernel refuses makes it refuse all. */
static int attach_multi(pid_t pid, const char *path, const uint64_t *offsets, size_t n)
{
	struct multi_attr attr = {
		.prog_fd = (uint32_t)bpf_program__fd(w.skel->progs.walk_multi),
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cnt = (uint32_t)n,
		.pid = (uint32_t)pid,
	};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	if (fd < 0)
		return -errno;
	assert_true(w.n_multi < MULTI_MAX);
	w.multi[w.n_multi++] = fd;
	return 0;
}

/*
 * Every instruction of a function; where the kernel has no such links, some of them, for each takes
 * a tenth of a second to detach. How many.
 */
static size_t attach_to_all(pid_t pid, const char *path, const char *name)
{
	uint64_t offsets[LINKS_MAX];
	size_t n, all = 0, done = 0;
	uint8_t code[4096];
	struct symbol s;
	cs_insn *insn;
	csh cs;
	int fd;

	assert_true(find_symbol(path, name, &s) && s.size <= sizeof(code));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, code, s.size, (off_t)s.offset), s.size);
	close(fd);
	assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
	n = cs_disasm(cs, code, s.size, s.value, 0, &insn);
	assert_true(n > 5);
	/* The kernel probes nothing with a lock prefix (uprobe_init_insn()). */
	for (size_t i = 0; i < n && all < LINKS_MAX; i++)
		if (strncmp(insn[i].mnemonic, "lock", 4) != 0)
			offsets[all++] = s.offset + insn[i].address - s.value;
	cs_free(insn, n);
	cs_close(&cs);
	if (!attach_multi(pid, path, offsets, all))
		return all;
	for (size_t i = 0; i < all; i += 8)
		done += attach(w.skel->progs.walk, false, pid, path, offsets[i], 0);
	return done;
}

static void fail_with(const char *what, const struct target *t, const uint64_t *pc, size_t n,
		      uint32_t flags)
{
	fprintf(stderr, "%s: flags %x\nkernel  ", what, flags);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, " %" PRIx64, pc[i]);
	fprintf(stderr, "\nprogram ");
	for (size_t i = 0; i < t->n_seen; i++)
		fprintf(stderr, " %" PRIx64, t->seen[i]);
	fprintf(stderr, "\n");
	fail();
}

/* The walk has the program's frames from `from` on, to the end or as many as are kept. */
static void check_stack(const char *what, const struct target *t, const struct hit *h, size_t from)
{
	size_t want = t->n_seen, n;
	uint64_t pc[STACK_FRAMES];
	uint32_t flags;

	n = unwinder__stack(w.u, h->id, pc, &flags);
	if (want > STACK_FRAMES)
		want = STACK_FRAMES;
	if (n != want || flags != (t->n_seen > STACK_FRAMES ? STACK_TRUNCATED : 0) ||
	    pc[0] != h->pc || memcmp(pc + from, t->seen + from, (n - from) * sizeof(*pc)) != 0)
		fail_with(what, t, pc, n, flags);
}

static void check_scene(struct target *t, const char *scene, size_t min_frames)
{
	walker__play(t, scene);
	if (!w.n_hits || t->n_seen < min_frames)
		fail_msg("%s: %zu walks, %zu frames", scene, w.n_hits, t->n_seen);
	/* qsort marks many times; the program keeps the last. */
	check_stack(scene, t, &w.hits[w.n_hits - 1], 1);
}

#endif
