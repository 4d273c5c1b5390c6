/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of a running program's addresses, built, stripped, hidden and moved in all ways. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "random.h"
#include "sym/demangle.h"
#include "sym/module.h"
#include "sym/symbols.h"

#define SOURCE "tests/targets/sym_target.c"

static char dir[64]; /* of this run */

__attribute__((format(printf, 1, 2))) static void sh(const char *fmt, ...)
{
	char cmd[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	if (system(cmd) != 0)
		fail_msg("failed: %s", cmd);
}

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void build(const char *name, const char *flags)
{
	sh("cc -std=gnu11 -O2 -Wl,--build-id %s -o %s %s", flags, in_dir(name), SOURCE);
}

/* ---- the program to look at */

struct target {
	pid_t pid;
	int in;
	FILE *out;
	struct {
		char name[32];
		uint64_t address;
	} said[16];
	size_t n;
};

static void hear(struct target *t)
{
	char name[256];
	unsigned long address;
	char line[256];

	while (fgets(line, sizeof(line), t->out) && strcmp(line, "ready\n") != 0) {
		assert_int_equal(sscanf(line, "%31s %lx", name, &address), 2);
		assert_true(t->n < 16);
		strcpy(t->said[t->n].name, name);
		t->said[t->n++].address = address;
	}
	assert_true(t->n > 5);
}

/* A program's own root: a tmpfs in a mount namespace of its own, filled by a command. */
struct root {
	const char *path; /* NULL: all but the namespace stays as it is */
	const char *prepare;
	bool pivot; /* as containers do, else chroot() */
};

static int enter(const struct root *r)
{
	if (unshare(CLONE_NEWNS) || mount("", "/", "", MS_REC | MS_PRIVATE, ""))
		return -1;
	if (!r->path)
		return 0;
	if (mount("none", r->path, "tmpfs", 0, "") || system(r->prepare) || chdir(r->path))
		return -1;
	if (!r->pivot)
		return chroot(".");
	/* pivot_root(2): the old root is then on top, and is taken off */
	return syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/");
}

static void start_in(struct target *t, const char *path, const struct root *root)
{
	int in[2], out[2];

	memset(t, 0, sizeof(*t));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	t->pid = fork();
	assert_true(t->pid >= 0);
	if (!t->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		if (!root || !enter(root))
			execl(path, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	t->in = in[1];
	t->out = fdopen(out[0], "r");
	hear(t);
}

static void start(struct target *t, const char *name)
{
	start_in(t, in_dir(name), NULL);
}

static void stop(struct target *t)
{
	int status;

	if (t->pid <= 0)
		return;
	close(t->in);
	fclose(t->out);
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	assert_int_equal(status, 0);
	t->pid = 0;
}

static uint64_t at(const struct target *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->said[i].name, name))
			return t->said[i].address;
	fail_msg("the target did not tell of %s", name);
	return 0;
}

/* ---- checks */

static void is(struct symbols *s, uint64_t pc, const char *function, uint64_t offset)
{
	struct heap_frame f;

	symbols__frame(s, pc, false, &f);
	assert_string_equal(f.function, function);
	assert_int_equal(f.address, pc);
	assert_int_equal(f.offset, offset);
}

static void is_unknown(struct symbols *s, uint64_t pc, const char *module)
{
	struct heap_frame f;

	symbols__frame(s, pc, false, &f);
	assert_string_equal(f.function, "[unknown]");
	assert_string_equal(f.module, module);
	assert_int_equal(f.address, pc);
	assert_null(f.source);
}

/* All names that .symtab gives. */
static void is_named(struct symbols *s, const struct target *t)
{
	is(s, at(t, "sym_global"), "sym_global", 0);
	is(s, at(t, "sym_global") + 2, "sym_global", 2);
	is(s, at(t, "sym_static"), "sym_static", 0);
	is(s, at(t, "sym_weak") + 1, "sym_weak", 1);
	is(s, at(t, "sym_asm") + 3, "sym_asm", 3);
	is(s, at(t, "sym_sized") + 1, "sym_sized", 1);
	is(s, at(t, "main") + 20, "main", 20);
}

static void has_lines(struct symbols *s, const struct target *t, bool wanted)
{
	struct heap_frame f;

	symbols__frame(s, at(t, "sym_global"), false, &f);
	if (!wanted) {
		assert_null(f.source);
		return;
	}
	assert_non_null(f.source);
	assert_non_null(strstr(f.source, SOURCE));
	/* of its lines without code of their own, either will do */
	assert_in_range(f.line, at(t, "line"), at(t, "line") + 3);
	symbols__frame(s, at(t, "main"), false, &f);
	assert_in_range(f.line, at(t, "main_line"), at(t, "main_line") + 1);
}

static struct symbols *open_symbols(const struct target *t)
{
	struct symbols *s;

	assert_int_equal(symbols__open(&s, t->pid), 0);
	return s;
}

struct noted {
	char text[8192];
};

static void collect(void *ctx, const char *note)
{
	struct noted *n = ctx;

	strncat(n->text, note, sizeof(n->text) - strlen(n->text) - 2);
	strcat(n->text, "\n");
}

static void notes_have(const struct symbols *s, const char *wanted)
{
	struct noted n = {0};

	symbols__notes(s, collect, &n);
	if (!strstr(n.text, wanted))
		fail_msg("no '%s' in the notes: %s", wanted, n.text);
}

static void no_notes(const struct symbols *s)
{
	struct noted n = {0};

	symbols__notes(s, collect, &n);
	assert_string_equal(n.text, "");
}

/* ---- ways to build it */

static void as_built(const char *flags, bool lines)
{
	struct heap_frame f;
	struct target t;
	struct symbols *s;

	build("built", flags);
	start(&t, "built");
	s = open_symbols(&t);
	is_named(s, &t);
	has_lines(s, &t, lines);
	no_notes(s);
	symbols__frame(s, at(&t, "main"), false, &f);
	assert_string_equal(f.module, in_dir("built"));
	is(s, at(&t, "getpid") + 1, "getpid", 1);
	symbols__close(s);
	stop(&t);
}

static void pie(void **state)
{
	(void)state;
	as_built("-pie -fPIE", false);
}

static void not_pie(void **state)
{
	(void)state;
	as_built("-no-pie -g", true);
}

static void statically(void **state)
{
	(void)state;
	as_built("-static -DSYM_STATIC", false);
}

static void static_pie(void **state)
{
	(void)state;
	as_built("-static-pie -DSYM_STATIC -g", true);
}

static void debug_formats(void **state)
{
	(void)state;
	as_built("-gdwarf-3", true);
	as_built("-gdwarf-4 -gz=zlib", true);
	as_built("-gdwarf-5 -gz=zlib -ffunction-sections -Wl,--gc-sections", true);
	as_built("-gdwarf-5 -gsplit-dwarf", true);
}

static void build_stripped(const char *name, const char *options)
{
	char whole[128];

	snprintf(whole, sizeof(whole), "%s.whole", in_dir(name));
	sh("cc -std=gnu11 -O2 -g -Wl,--build-id -o %s %s && strip %s -o %s %s", whole, SOURCE,
	   options, in_dir(name), whole);
}

static void stripped(void **state)
{
	struct target t;
	struct symbols *s;

	(void)state;
	build_stripped("stripped", "");
	start(&t, "stripped");
	s = open_symbols(&t);
	is_unknown(s, at(&t, "sym_global"), in_dir("stripped"));
	is_unknown(s, at(&t, "main"), in_dir("stripped"));
	is_unknown(s, at(&t, "main"), in_dir("stripped")); /* counted once */
	is(s, at(&t, "getpid"), "getpid", 0);
	notes_have(s, "/stripped: 2 addresses without a name: stripped: install its debug symbols");
	notes_have(s, "build id ");
	symbols__close(s);
	stop(&t);
}

/* By .gnu_debuglink, which names a file beside it; only if its CRC agrees. */
static void debug_link(void **state)
{
	struct target t;
	struct symbols *s;

	(void)state;
	build_stripped("linked", "");
	sh("objcopy --only-keep-debug %s.whole %s.dbg && "
	   "objcopy --add-gnu-debuglink=%s.dbg %s",
	   in_dir("linked"), in_dir("linked"), in_dir("linked"), in_dir("linked"));
	sh("mkdir -p %s && mv %s.dbg %s", in_dir(".debug"), in_dir("linked"), in_dir(".debug"));
	start(&t, "linked");
	s = open_symbols(&t);
	is_named(s, &t);
	has_lines(s, &t, true);
	no_notes(s);
	symbols__close(s);
	/* a byte more, and it is another file */
	sh("echo >>%s/linked.dbg", in_dir(".debug"));
	s = open_symbols(&t);
	is_unknown(s, at(&t, "main"), in_dir("linked"));
	symbols__close(s);
	stop(&t);
}

/* What Fedora does to all its libraries. */
static void mini_debug_info(void **state)
{
	const char *mini = in_dir("mini");
	struct target t;
	struct symbols *s;

	(void)state;
	build_stripped("mini", "");
	sh("objcopy -S --remove-section .comment --keep-symbol=sym_global --keep-symbol=main "
	   "--only-keep-debug %s.whole %s.symbols 2>/dev/null && "
	   "strip --strip-debug --keep-symbol=sym_global %s.whole -o %s.symbols && "
	   "xz -f %s.symbols && objcopy --add-section .gnu_debugdata=%s.symbols.xz %s",
	   mini, mini, mini, mini, mini, mini, mini);
	start(&t, "mini");
	s = open_symbols(&t);
	is_named(s, &t);
	has_lines(s, &t, false);
	symbols__close(s);
	stop(&t);
}

/* ---- files that go and come */

static bool capable(cap_value_t cap)
{
	cap_flag_value_t has = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	cap_get_flag(caps, cap, CAP_EFFECTIVE, &has);
	cap_free(caps);
	return has == CAP_SET;
}

static void need_root(void)
{
	if (capable(CAP_SYS_ADMIN))
		return;
	print_message("needs root\n");
	skip();
}

static void deleted(void **state)
{
	struct heap_frame f;
	struct target t;
	struct symbols *s;

	(void)state;
	need_root();
	build("deleted", "-g");
	start(&t, "deleted");
	assert_int_equal(unlink(in_dir("deleted")), 0);
	s = open_symbols(&t);
	is_named(s, &t);
	has_lines(s, &t, true);
	symbols__frame(s, at(&t, "main"), false, &f);
	assert_memory_equal(f.module, "[deleted] ", 10);
	assert_string_equal(f.module + 10, in_dir("deleted"));
	symbols__close(s);
	stop(&t);
}

/* Moves everything: were the new file read, the names would be wrong. */
static void build_moved(const char *name)
{
	sh("sed 's/^__attribute__((noinline)) int sym_global/int moved_0(int x) { return x + 1; } "
	   "int moved_1(int x) { return x * 7; } int moved_2(int x) { return x * 9; } &/' %s | "
	   "cc -std=gnu11 -O2 -falign-functions=512 -Dsym_static=other_static -o %s -x c -",
	   SOURCE, in_dir(name));
}

static void replaced(void **state)
{
	struct heap_frame f;
	struct target t;
	struct symbols *s;

	(void)state;
	need_root();
	build("replaced", "-pie -fPIE");
	build_moved("new");
	start(&t, "replaced");
	assert_int_equal(rename(in_dir("new"), in_dir("replaced")), 0);
	s = open_symbols(&t);
	is_named(s, &t);
	symbols__frame(s, at(&t, "main"), false, &f);
	assert_memory_equal(f.module, "[deleted] ", 10);
	symbols__close(s);
	stop(&t);
}

static void enter_mounts_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	if (setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNS))
		_exit(3);
}

/* In a child, as it gives its rights up; inside: it sees the target's mounts, not ours. */
static void without_rights(void (*check)(const struct target *t), const struct target *t,
			   bool inside)
{
	const cap_value_t caps[] = {CAP_SYS_ADMIN, 40 /* CAP_CHECKPOINT_RESTORE */};
	int status;
	pid_t pid = fork();

	if (!pid) {
		cap_t now = cap_get_proc();

		if (inside)
			enter_mounts_of(t->pid);
		if (cap_set_flag(now, CAP_EFFECTIVE, 2, caps, CAP_CLEAR) ||
		    cap_set_flag(now, CAP_PERMITTED, 2, caps, CAP_CLEAR) || cap_set_proc(now))
			_exit(2);
		cap_free(now);
		check(t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* cmocka's asserts would jump into the parent's test. */
#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			_exit(1);                                                          \
		}                                                                          \
	} while (0)

static void check_by_path(const struct target *t)
{
	struct symbols *s;
	struct heap_frame f;

	MUST(!symbols__open(&s, t->pid));
	symbols__frame(s, at(t, "sym_static"), false, &f);
	MUST(!strcmp(f.function, "sym_static"));
	symbols__close(s);
}

static void check_not_found(const struct target *t)
{
	struct noted n = {0};
	struct symbols *s;
	struct heap_frame f;

	MUST(!symbols__open(&s, t->pid));
	symbols__frame(s, at(t, "sym_static"), false, &f);
	MUST(!strcmp(f.function, "[unknown]"));
	MUST(!strncmp(f.module, "[deleted] ", 10));
	symbols__notes(s, collect, &n);
	MUST(strstr(n.text, "run as root"));
	symbols__close(s);
}

/* map_files is not to be had: by path, but only the mapped inode. */
static void by_path(void **state)
{
	struct target t;

	(void)state;
	need_root();
	build("by_path", "-pie -fPIE");
	build_moved("new");
	start(&t, "by_path");
	without_rights(check_by_path, &t, false);
	assert_int_equal(rename(in_dir("new"), in_dir("by_path")), 0);
	without_rights(check_not_found, &t, false);
	assert_int_equal(unlink(in_dir("by_path")), 0);
	without_rights(check_not_found, &t, false);
	stop(&t);
}

static void check_hidden(const struct target *t)
{
	struct noted n = {0};
	struct symbols *s;
	struct heap_frame f;

	MUST(!symbols__open(&s, t->pid));
	symbols__frame(s, at(t, "sym_static"), false, &f);
	MUST(!strcmp(f.function, "[unknown]"));
	symbols__notes(s, collect, &n);
	MUST(strstr(n.text, "another file stands under its path"));
	symbols__close(s);
}

/* Not deleted, but another file is mounted where it was. */
static void hidden(void **state)
{
	struct root root = {0};
	struct symbols *s;
	struct target t;

	(void)state;
	need_root();
	build("hidden", "-pie -fPIE");
	build_moved("new");
	start_in(&t, in_dir("hidden"), &root);
	sh("nsenter -t %d -m mount --bind %s %s", t.pid, in_dir("new"), in_dir("hidden"));
	s = open_symbols(&t);
	is_named(s, &t);
	symbols__close(s);
	/* from outside, the path still leads to the file */
	without_rights(check_by_path, &t, false);
	without_rights(check_hidden, &t, true);
	stop(&t);
}

static void in_root(bool pivot)
{
	const char *path = in_dir("root"), *name = in_dir("inside");
	char prepare[2048];
	struct root root = {.path = path, .prepare = prepare, .pivot = pivot};
	struct heap_frame f;
	struct target t;
	struct symbols *s;

	/* /usr/lib/debug is a link that would lead elsewhere from here */
	snprintf(prepare, sizeof(prepare),
		 "set -e; id=$(readelf -n %s | sed -n 's/.*Build ID: //p'); "
		 "mkdir -p %s/usr/lib %s/debug/.build-id/$(echo $id | cut -c1-2); "
		 "ln -s /debug %s/usr/lib/debug; cp %s %s/program; "
		 "objcopy --only-keep-debug %s.whole %s/debug/.build-id/$(echo $id | cut -c1-2)/"
		 "$(echo $id | cut -c3-).debug",
		 name, path, path, path, name, path, name, path);
	start_in(&t, "/program", &root);
	s = open_symbols(&t);
	is_named(s, &t);
	has_lines(s, &t, true);
	symbols__frame(s, at(&t, "main"), false, &f);
	assert_string_equal(f.module, "/program");
	symbols__close(s);
	without_rights(check_by_path, &t, false);
	stop(&t);
}

/* A program in another root, with its debug file there and nowhere else. */
static void container(void **state)
{
	const char *name = in_dir("inside");

	(void)state;
	need_root();
	sh("mkdir -p %s", in_dir("root"));
	sh("cc -std=gnu11 -O2 -g -static -DSYM_STATIC -Wl,--build-id -o %s.whole %s && "
	   "strip -o %s %s.whole",
	   name, SOURCE, name, name);
	in_root(true);
	in_root(false);
}

/* The files were kept open; nothing is loaded before the first look-up. */
static void after_the_end(void **state)
{
	struct target t;
	struct symbols *s, *again;
	pid_t pid;

	(void)state;
	build("ended", "-g");
	start(&t, "ended");
	s = open_symbols(&t);
	pid = t.pid;
	stop(&t);
	assert_int_equal(unlink(in_dir("ended")), 0);
	assert_int_equal(symbols__open(&again, pid), -ESRCH);
	assert_null(again);
	assert_int_equal(symbols__refresh(s), 0);
	is_named(s, &t);
	has_lines(s, &t, true);
	is(s, at(&t, "getpid"), "getpid", 0);
	symbols__close(s);
}

static void opened_later(void **state)
{
	char line[256], name[64], cmd[256];
	unsigned long address;
	struct target t;
	struct symbols *s;

	(void)state;
	build("loader", "");
	sh("echo 'int _ZN5shape4areaEii(int a, int b); int _ZN5shape4areaEii(int a, int b) "
	   "{ return a * b; }' | cc -shared -fPIC -O2 -o %s -x c -",
	   in_dir("libshape.so"));
	start(&t, "loader");
	s = open_symbols(&t);
	snprintf(cmd, sizeof(cmd), "%s _ZN5shape4areaEii\n", in_dir("libshape.so"));
	assert_int_equal(write(t.in, cmd, strlen(cmd)), strlen(cmd));
	assert_non_null(fgets(line, sizeof(line), t.out));
	assert_int_equal(sscanf(line, "%63s %lx", name, &address), 2);
	assert_true(address != 0);
	is_unknown(s, address, "");
	assert_int_equal(symbols__refresh(s), 0);
	is(s, address, "shape::area(int, int)", 0);
	is_named(s, &t);
	symbols__close(s);
	stop(&t);
}

/* ---- which symbol */

static void honest(void **state)
{
	struct heap_frame f;
	struct target t;
	struct symbols *s;

	(void)state;
	build("honest", "");
	start(&t, "honest");
	s = open_symbols(&t);
	/* in .text and behind a function with a size: no name, and above all not that function's */
	is_unknown(s, at(&t, "sym_sized") + 2, in_dir("honest"));
	is_unknown(s, at(&t, "sym_sized") + 10, in_dir("honest"));
	notes_have(s, "2 addresses without a name: in code that its symbol table does not name");
	/* behind a function without a size, up to the next */
	is(s, at(&t, "sym_asm") + 15, "sym_asm", 15);
	/* a return address behind a function's last byte is in it */
	symbols__frame(s, at(&t, "sym_sized") + 2, true, &f);
	assert_string_equal(f.function, "sym_sized");
	assert_int_equal(f.address, at(&t, "sym_sized") + 2);
	assert_int_equal(f.offset, 2);
	/* and at its first byte is in what comes before */
	symbols__frame(s, at(&t, "sym_sized"), true, &f);
	assert_string_equal(f.function, "sym_asm");
	assert_int_equal(f.offset, 16);
	/* outside of everything */
	is_unknown(s, 0, "");
	is_unknown(s, UINT64_MAX, "");
	symbols__frame(s, 0, true, &f);
	assert_string_equal(f.function, "[unknown]");
	symbols__close(s);
	stop(&t);
}

struct nm_symbol {
	uint64_t start, size;
	char name[512];
};

static int by_start(const void *a, const void *b)
{
	const struct nm_symbol *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Functions with a size, as binutils read and write them. */
static size_t read_nm(const char *path, struct nm_symbol **out)
{
	struct nm_symbol *all = malloc(20000 * sizeof(*all));
	char cmd[512], line[8192];
	size_t n = 0;
	FILE *nm;

	assert_non_null(all);
	snprintf(cmd, sizeof(cmd), "nm -D -C -S --defined-only %s", path);
	nm = popen(cmd, "r");
	while (n < 20000 && fgets(line, sizeof(line), nm)) {
		unsigned long start, size;
		char type;
		int at_name = 0;

		if (sscanf(line, "%lx %lx %c %n", &start, &size, &type, &at_name) != 3 ||
		    !strchr("TtWwi", type) || !size)
			continue;
		line[strcspn(line, "\n")] = 0;
		if (strchr(line, '@'))
			*strchr(line, '@') = 0;
		all[n] = (struct nm_symbol){.start = start, .size = size};
		snprintf(all[n].name, sizeof(all[n].name), "%s", line + at_name);
		n++;
	}
	pclose(nm);
	qsort(all, n, sizeof(*all), by_start);
	*out = all;
	return n;
}

static bool named_so(const struct nm_symbol *all, size_t n, uint64_t start, const char *name)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (all[i].start != start)
			continue;
		any = true;
		if (!strncmp(all[i].name, name, sizeof(all[i].name) - 1))
			return true;
	}
	return !any; /* a local function's, from debug symbols */
}

static void as_nm_says(const char *soname, size_t least)
{
	void *handle = dlopen(soname, RTLD_NOW);
	struct nm_symbol *all;
	struct link_map *map;
	struct symbols *s;
	size_t n;

	if (!handle) {
		print_message("%s is not installed\n", soname);
		return;
	}
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
	n = read_nm(map->l_name, &all);
	assert_true(n >= least);
	assert_int_equal(symbols__open(&s, getpid()), 0);
	for (size_t i = 0; i < n; i++) {
		uint64_t in = (i * 7919) % all[i].size, at = all[i].start + in;
		struct heap_frame f;

		symbols__frame(s, map->l_addr + at, false, &f);
		if (!named_so(all, n, at - f.offset, f.function) ||
		    !strcmp(f.function, "[unknown]"))
			fail_msg("%s+%#lx: %s+%#lx, but nm has %s+%#lx", soname, (unsigned long)at,
				 f.function, (unsigned long)f.offset, all[i].name,
				 (unsigned long)in);
	}
	symbols__close(s);
	free(all);
	dlclose(handle);
}

static void real_libraries(void **state)
{
	(void)state;
	as_nm_says("libc.so.6", 1500);
	as_nm_says("libelf.so.1", 50);
	as_nm_says("libstdc++.so.6", 2000);
}

static void vdso(void **state)
{
	int known = 0;
	struct target t;
	struct symbols *s;

	(void)state;
	build("vdso", "");
	start(&t, "vdso");
	s = open_symbols(&t);
	stop(&t);
	for (uint64_t pc = at(&t, "vdso"); pc < at(&t, "vdso") + 8192; pc++) {
		struct heap_frame f;

		symbols__frame(s, pc, false, &f);
		if (!strcmp(f.module, "[vdso]"))
			known |= strstr(f.function, "clock_gettime") ? 1 : 0;
	}
	assert_true(known);
	symbols__close(s);
}

static void run_time_code(void **state)
{
	uint64_t jit;
	char path[64];
	FILE *map;
	struct target t;
	struct symbols *s;

	(void)state;
	build("jit", "");
	start(&t, "jit");
	jit = at(&t, "jit");
	s = open_symbols(&t);
	is_unknown(s, jit + 4, "");
	notes_have(s, "anonymous memory: 1 address without a name: code made at run time");
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", t.pid);
	map = fopen(path, "w");
	assert_non_null(map);
	/* one that is too large is not one that is not there */
	assert_int_equal(ftruncate(fileno(map), 1 << 30), 0);
	assert_int_equal(symbols__refresh(s), 0);
	is_unknown(s, jit + 4, "");
	notes_have(s, "its /tmp/perf-PID.map cannot be read: File too large");
	assert_int_equal(ftruncate(fileno(map), 0), 0);
	fprintf(map, "%lx 10 old\n%lx 20 LazyCompile:~f /x y.js:1\nrubbish\n%lx 8 new\n%lx 10 cut",
		jit, jit + 16, jit, jit + 512);
	fclose(map);
	assert_int_equal(symbols__refresh(s), 0);
	unlink(path);
	is(s, jit + 4, "new", 4);
	is(s, jit + 12, "old", 12);
	is(s, jit + 20, "LazyCompile:~f /x y.js:1", 4);
	is_unknown(s, jit + 64, "");
	is_unknown(s, jit + 512, "");
	symbols__close(s);
	stop(&t);
}

/* Every stub that objdump names. */
static void stubs(void **state)
{
	char line[256], name[128];
	unsigned long address;
	uint64_t bias = 0;
	int n = 0;
	struct target t;
	struct symbols *s;
	FILE *objdump;

	(void)state;
	for (int round = 0; round < 2; round++) {
		build("stubs", round ? "-pie -fPIE -g0 -fcf-protection=full -Wl,-z,ibtplt"
				     : "-pie -fPIE -g0 -Wl,-z,lazy");
		start(&t, "stubs");
		s = open_symbols(&t);
		snprintf(line, sizeof(line), "nm %s | grep ' T main'", in_dir("stubs"));
		objdump = popen(line, "r");
		assert_int_equal(fscanf(objdump, "%lx", &address), 1);
		pclose(objdump);
		bias = at(&t, "main") - address;
		snprintf(line, sizeof(line), "objdump -d %s", in_dir("stubs"));
		objdump = popen(line, "r");
		while (fgets(line, sizeof(line), objdump)) {
			if (sscanf(line, "%lx <%127[^>]>:", &address, name) != 2 ||
			    !strstr(name, "@plt") || strstr(name, "@plt-"))
				continue;
			is(s, bias + address, name, 0);
			is(s, bias + address + 5, name, 5);
			n++;
		}
		pclose(objdump);
		symbols__close(s);
		stop(&t);
	}
	assert_true(n >= 10);
}

static uint8_t *read_whole(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	uint8_t *bytes = malloc(1 << 20);

	assert_non_null(f);
	assert_non_null(bytes);
	*n = fread(bytes, 1, 1 << 20, f);
	fclose(f);
	return bytes;
}

static void ask_all(int fd)
{
	struct module_budget budget = {.symbols = 1 << 16, .bytes = 1 << 22};
	struct module *m = module__new("/damaged", MODULE_OPEN, fd);
	struct module_name *name = malloc(sizeof(*name));

	assert_non_null(m);
	assert_non_null(name);
	m->shown = m->path;
	for (uint64_t pc = 0; pc < 0x5000; pc += 37) {
		if (!module__find(m, -1, &budget, pc, name))
			m->unknown++;
		else
			assert_true(name->function[0] && pc >= name->start);
	}
	free(name);
	module__free(m);
}

/* Real files with some bytes changed or cut off: any answer will do. */
static void damaged(void **state)
{
	static const char *const flags[] = {"-pie -fPIE -gdwarf-5 -Wl,-z,ibtplt -fcf-protection",
					    "-pie -fPIE -gdwarf-4 -gz=zlib"};
	uint64_t seed = 11;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		/* the last is the one with MiniDebugInfo, from a test before */
		const char *name = i < 2 ? "damaged" : "mini";
		uint8_t *whole, *copy;
		size_t n;

		if (i < 2)
			build(name, flags[i]);
		whole = read_whole(in_dir(name), &n);
		copy = malloc(n);
		assert_non_null(copy);
		for (int round = 0; round < 400; round++) {
			size_t cut = round % 4 ? n : random__next(&seed) % n;
			int fd = memfd_create("damaged", MFD_CLOEXEC);

			memcpy(copy, whole, n);
			/* anywhere, and half of them in the section headers at the end */
			for (int k = 0; k < 30; k++) {
				size_t back = k % 2 ? n : 2500;

				copy[n - 1 - random__next(&seed) % back] =
					(uint8_t)random__next(&seed);
			}
			if (round % 2)
				memcpy(copy, whole, 64);
			assert_int_equal(write(fd, copy, cut), cut);
			ask_all(fd);
		}
		free(whole);
		free(copy);
	}
}

/* Own addresses, all of them at least twice: what was said is said again. */
static void quick(void **state)
{
	struct timespec a, b;
	struct heap_frame f;
	struct target t;
	struct symbols *s;
	double first, again;

	(void)state;
	build("quick", "-static -DSYM_STATIC -g");
	start(&t, "quick");
	s = open_symbols(&t);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint64_t i = 0; i < 4000; i++)
		symbols__frame(s, at(&t, "main") + 16 * i, true, &f);
	clock_gettime(CLOCK_MONOTONIC, &b);
	first = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	a = b;
	for (uint64_t i = 0; i < 1000000; i++)
		symbols__frame(s, t.said[5].address + 16 * (i % 4000), true, &f);
	clock_gettime(CLOCK_MONOTONIC, &b);
	again = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	print_message("4000 addresses: %.0f us each; a million again: %.0f ns each\n",
		      first / 4000 * 1e6, again / 1e6 * 1e9);
	/* an answer that is kept costs at most a tenth of one that has to be found */
	assert_true(again / 1e6 < first / 4000 / 10);
	symbols__close(s);
	stop(&t);
}

static void demangled(void **state)
{
	static const char *const names[][2] = {
		{"_ZNSt6vectorIiSaIiEE9push_backERKi",
		 "std::vector<int, std::allocator<int> >::push_back(int const&)"},
		{"_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"},
		{"_RNvC6_123foo3bar", "123foo::bar"},
		{"_RNvNtNtCs1234_7mycrate3foo3bar3baz", "mycrate::foo::bar::baz"},
		{"malloc", NULL},
		{"_Z", NULL},
		{"_ZN", NULL},
		{"_R", NULL},
		{"_Zebra", NULL},
		{"main.(*Server).Run", NULL},
	};
	char out[256], small[12], *deep = malloc(20001);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(demangle__name(names[i][0], out, sizeof(out)),
				 names[i][1] != NULL);
		assert_string_equal(out, names[i][1] ? names[i][1] : "");
	}
	assert_true(demangle__name(names[0][0], small, sizeof(small)));
	assert_string_equal(small, "std::vec...");
	/* each pointer level doubles: 2^40 characters, were it not cut */
	strcpy(deep, "_Z1f");
	strcat(deep, "St4pairIiiE");
	for (int i = 0; i < 40; i++) {
		char level[64];

		/* S<n>_ is the n-th component so far: pair of the last with itself */
		snprintf(level, sizeof(level), "St4pairIS%c_S%c_E", i ? '0' + i % 10 : '0',
			 i ? '0' + i % 10 : '0');
		strcat(deep, level);
	}
	demangle__name(deep, out, sizeof(out));
	assert_true(strlen(out) < sizeof(out));
	memset(deep, 'P', 20000);
	deep[20000] = 0;
	memcpy(deep, "_Z1f", 4);
	assert_false(demangle__name(deep, out, sizeof(out)));
	free(deep);
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hopscope-symbols.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pie),
		cmocka_unit_test(not_pie),
		cmocka_unit_test(statically),
		cmocka_unit_test(static_pie),
		cmocka_unit_test(debug_formats),
		cmocka_unit_test(stripped),
		cmocka_unit_test(debug_link),
		cmocka_unit_test(mini_debug_info),
		cmocka_unit_test(deleted),
		cmocka_unit_test(replaced),
		cmocka_unit_test(by_path),
		cmocka_unit_test(hidden),
		cmocka_unit_test(container),
		cmocka_unit_test(after_the_end),
		cmocka_unit_test(opened_later),
		cmocka_unit_test(honest),
		cmocka_unit_test(real_libraries),
		cmocka_unit_test(vdso),
		cmocka_unit_test(run_time_code),
		cmocka_unit_test(stubs),
		cmocka_unit_test(quick),
		cmocka_unit_test(demangled),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
