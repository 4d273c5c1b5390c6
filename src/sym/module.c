/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loads a module's tables when its first address is asked for, and looks addresses up in them. */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sym/debug_file.h"
#include "sym/demangle.h"
#include "sym/go_file.h"
#include "sym/module.h"
#include "sym/plt.h"

struct module *module__new(const char *path, enum module_state state, int fd)
{
	struct module *m = calloc(1, sizeof(*m));

	if (m)
		m->path = strdup(path);
	if (!m || !m->path) {
		free(m);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	m->state = state;
	m->fd = fd;
	m->debug_fd = m->mini_fd = -1;
	if (state == MODULE_NO_FILE)
		return m;
	if (fd < 0) {
		m->state = MODULE_CLOSED;
		m->err = fd;
		return m;
	}
	m->err = elf_file__open(&m->elf, fd);
	m->state = m->err ? MODULE_NOT_ELF : MODULE_OPEN;
	return m;
}

void module__free(struct module *m)
{
	if (!m)
		return;
	symtab__free(&m->symtab);
	lines__close(m->lines);
	elf_file__close(&m->elf);
	elf_file__close(&m->debug);
	elf_file__close(&m->mini);
	if (m->fd >= 0)
		close(m->fd);
	if (m->debug_fd >= 0)
		close(m->debug_fd);
	if (m->mini_fd >= 0)
		close(m->mini_fd);
	free(m->path);
	free(m);
}

/* ---- loading */

static void add_table(struct module *m, const struct elf_file *f, uint32_t type,
		      struct module_budget *budget)
{
	const struct elf_section *s = elf_file__section_of_type(f, type);

	if (s && symtab__add(&m->symtab, f, s, &budget->symbols) == -EFBIG)
		m->too_large = true;
}

/* Opens *f on fd, or closes the fd. */
static bool adopt(struct elf_file *f, int fd, int *keep)
{
	if (fd < 0)
		return false;
	if (elf_file__open(f, fd)) {
		close(fd);
		return false;
	}
	*keep = fd;
	return true;
}

static void load(struct module *m, int root_fd, struct module_budget *budget)
{
	m->loaded = true;
	add_table(m, &m->elf, SHT_SYMTAB, budget);
	/* lines, too, may be in the debug file alone: stripped with --strip-debug */
	if (!elf_file__section(&m->elf, ".debug_line") && m->elf.n_sec)
		m->has_debug =
			adopt(&m->debug, debug_file__find(&m->elf, root_fd, m->path), &m->debug_fd);
	if (!m->symtab.complete && m->has_debug)
		add_table(m, &m->debug, SHT_SYMTAB, budget);
	if (!m->symtab.complete &&
	    adopt(&m->mini, debug_file__mini(&m->elf, &budget->bytes), &m->mini_fd))
		add_table(m, &m->mini, SHT_SYMTAB, budget);
	/* .symtab has it all; MiniDebugInfo only what .dynsym has not */
	if (!m->symtab.complete || m->mini_fd >= 0)
		add_table(m, &m->elf, SHT_DYNSYM, budget);
	symtab__sort(&m->symtab);
	m->has_go = !go_file__table(&m->elf, &m->go);
}

static void load_lines(struct module *m, struct module_budget *budget)
{
	const struct elf_file *f = elf_file__section(&m->elf, ".debug_line") ? &m->elf : &m->debug;

	m->lines_tried = true;
	if (f->n_sec && lines__open(&m->lines, f, &budget->bytes) == -EFBIG)
		m->too_large = true;
}

/* ---- look-ups */

static bool find_go(const struct module *m, uint64_t vaddr, struct module_name *out)
{
	struct gopclntab_func *func = malloc(sizeof(*func));
	bool ok = func && gopclntab__find(&m->go, vaddr, func);

	if (ok) {
		out->start = func->entry;
		strcpy(out->function, func->name);
		strcpy(out->source, func->file);
		out->line = func->line;
	}
	free(func);
	return ok;
}

static bool find_symbol(const struct module *m, uint64_t vaddr, struct module_name *out)
{
	struct symtab_hit *hit = malloc(sizeof(*hit));
	bool ok = hit && symtab__find(&m->symtab, vaddr, hit);

	if (ok) {
		out->start = hit->start;
		if (!demangle__name(hit->name, out->function, sizeof(out->function)))
			strcpy(out->function, hit->name);
	}
	free(hit);
	return ok;
}

static bool find_stub(const struct module *m, uint64_t vaddr, struct module_name *out)
{
	char mangled[SYMTAB_NAME_MAX], *end;

	if (!plt__find(&m->elf, vaddr, &out->start, mangled, sizeof(mangled)))
		return false;
	end = mangled + strlen(mangled) - strlen("@plt");
	*end = 0;
	if (!demangle__name(mangled, out->function, sizeof(out->function) - 4))
		strcpy(out->function, mangled);
	strcat(out->function, "@plt");
	return true;
}

bool module__find(struct module *m, int root_fd, struct module_budget *budget, uint64_t vaddr,
		  struct module_name *out)
{
	bool found;

	out->function[0] = out->source[0] = 0;
	out->line = 0;
	if (m->state != MODULE_OPEN)
		return false;
	if (!m->loaded)
		load(m, root_fd, budget);
	/* Go's own table is the most exact for Go's code, and has lines */
	found = (m->has_go && find_go(m, vaddr, out)) || find_stub(m, vaddr, out) ||
		find_symbol(m, vaddr, out);
	if (out->line)
		return found;
	if (!m->lines_tried)
		load_lines(m, budget);
	if (m->lines && !lines__find(m->lines, vaddr, out->source, &out->line))
		out->source[0] = 0;
	return found;
}

/* ---- why names are missing */

static void note_closed(const struct module *m, struct text *out)
{
	switch (m->err) {
	case -EPERM:
	case -EACCES:
		if (m->deleted)
			text__add(out,
				  "deleted since it was mapped, and what is mapped can only be "
				  "opened with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE: run as "
				  "root");
		else
			text__add(out, "cannot open it: not permitted: run as root");
		break;
	case -ESTALE:
		text__add(out,
			  "another file stands under its path now: restart the program, or run "
			  "as root, which can open the one that is mapped");
		break;
	case -ENOENT:
		text__add(out, "not there any more: restart the program, or run as root, which can "
			       "open what is mapped");
		break;
	case -EMFILE:
	case -ENFILE: text__add(out, "not opened: too many mapped files (ulimit -n)"); break;
	default: text__addf(out, "cannot open it: %s", strerror(-m->err));
	}
}

static void note_open(const struct module *m, struct text *out)
{
	uint8_t id[ELF_BUILD_ID_MAX];
	size_t n;

	if (m->too_large) {
		text__add(out, "its tables are larger than what is read");
		return;
	}
	if (m->symtab.complete || m->has_go) {
		text__add(out, "in code that its symbol table does not name");
		return;
	}
	text__addf(out,
		   "stripped%s: install its debug symbols (Debian: the package's -dbgsym or -dbg)",
		   m->symtab.n ? ", only exported functions have names" : "");
	n = elf_file__build_id(&m->elf, id);
	if (n)
		text__add(out, ", build id ");
	for (size_t i = 0; i < n; i++)
		text__addf(out, "%02x", id[i]);
}

void module__note(const struct module *m, struct text *out)
{
	if (!m->unknown)
		return;
	text__add_printable(out, *m->shown ? m->shown : "anonymous memory");
	text__addf(out, ": %" PRIu64 " address%s without a name: ", m->unknown,
		   m->unknown == 1 ? "" : "es");
	if (!strcmp(m->path, "[vdso]") || !strcmp(m->path, "[vsyscall]")) {
		text__add(out, "the kernel's own code, of which few names are known");
		return;
	}
	switch (m->state) {
	case MODULE_NO_FILE:
	case MODULE_NOT_ELF:
		text__add(out, "code made at run time: have the program write /tmp/perf-PID.map "
			       "(node --perf-basic-prof, perf-map-agent, DOTNET_PerfMapEnabled=1)");
		break;
	case MODULE_CLOSED: note_closed(m, out); break;
	case MODULE_OPEN: note_open(m, out); break;
	}
}
