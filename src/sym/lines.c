/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Line programs (DWARF 5, section 6.2). One pass notes where each sequence begins and which
 * addresses it spans; a look-up runs the one sequence that holds the address again.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sym/lines.h"

struct bytes {
	uint8_t *data;
	size_t n;
};

struct sequence {
	uint64_t low, high;
	uint32_t unit;	/* offset of the program's header */
	uint32_t start; /* of the sequence's first opcode */
};

struct lines {
	struct bytes line, line_str;
	struct sequence *seq;
	size_t n, room;
};

/* A place in the bytes; once it ran over the end, everything reads as 0. */
struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t take(struct cursor *c, size_t n)
{
	uint64_t v = 0;

	if ((size_t)(c->end - c->p) < n) {
		c->bad = true;
		c->p = c->end;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		v |= (uint64_t)c->p[i] << (8 * i);
#else
		v = v << 8 | c->p[i];
#endif
	}
	c->p += n;
	return v;
}

static void skip(struct cursor *c, uint64_t n)
{
	if ((uint64_t)(c->end - c->p) < n) {
		c->bad = true;
		c->p = c->end;
	} else {
		c->p += n;
	}
}

static uint64_t take_uleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; c->p < c->end; shift += 7) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

static int64_t take_sleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; c->p < c->end;) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && (byte & 0x40))
				v |= ~0ull << shift;
			return (int64_t)v;
		}
	}
	c->bad = true;
	return 0;
}

static const char *take_string(struct cursor *c)
{
	const uint8_t *s = c->p, *nul = memchr(s, 0, (size_t)(c->end - s));

	if (!nul) {
		c->bad = true;
		c->p = c->end;
		return "";
	}
	c->p = nul + 1;
	return (const char *)s;
}

struct unit {
	uint16_t version;
	uint8_t offset_size; /* 4 or 8 */
	uint8_t min_length, opcode_base, line_range;
	int8_t line_base;
	const uint8_t *op_args; /* operands of the standard opcodes */
	struct cursor names;	/* directories and files */
	struct cursor program;
	const uint8_t *next;
};

/* The header at the cursor. False: there is no sound one, and no next. `next` is 0 then. */
static bool read_unit(struct cursor *c, struct unit *u)
{
	uint64_t length, header;
	struct cursor in;

	memset(u, 0, sizeof(*u));
	u->offset_size = 4;
	length = take(c, 4);
	if (length == 0xffffffff) {
		u->offset_size = 8;
		length = take(c, 8);
	}
	if (c->bad || !length || length > (uint64_t)(c->end - c->p))
		return false;
	in = (struct cursor){.p = c->p, .end = c->p + length};
	u->next = in.end;
	u->version = (uint16_t)take(&in, 2);
	if (u->version < 2 || u->version > 5)
		return true; /* to be passed over: its program is empty */
	if (u->version == 5)
		take(&in, 2); /* sizes of addresses and of segment selectors */
	header = take(&in, u->offset_size);
	if (in.bad || header > (uint64_t)(in.end - in.p))
		return true;
	u->program = (struct cursor){.p = in.p + header, .end = in.end};
	in.end = in.p + header;
	u->min_length = (uint8_t)take(&in, 1);
	if (u->version >= 4)
		take(&in, 1); /* operations an instruction: VLIW only */
	take(&in, 1);	      /* default_is_stmt */
	u->line_base = (int8_t)take(&in, 1);
	u->line_range = (uint8_t)take(&in, 1);
	u->opcode_base = (uint8_t)take(&in, 1);
	u->op_args = in.p;
	skip(&in, u->opcode_base ? u->opcode_base - 1 : 0);
	u->names = in;
	if (in.bad || !u->line_range || !u->opcode_base)
		u->program.p = u->program.end;
	return true;
}

struct row {
	uint64_t address, file, line;
	bool end; /* of a sequence */
};

static void row_reset(struct row *r)
{
	*r = (struct row){.file = 1, .line = 1};
}

static void advance(const struct unit *u, struct row *r, uint64_t operations)
{
	r->address += operations * u->min_length;
}

/* True: a row stands in *r. */
static bool extended(struct cursor *c, struct row *r)
{
	uint64_t n = take_uleb(c);
	const uint8_t *p = c->p;
	uint8_t op;

	skip(c, n);
	if (c->bad || !n)
		return false;
	op = *p;
	if (op == DW_LNE_end_sequence) {
		r->end = true;
		return true;
	}
	if (op == DW_LNE_set_address && (n == 9 || n == 5)) {
		struct cursor in = {.p = p + 1, .end = p + n};

		r->address = take(&in, (size_t)n - 1);
	}
	return false;
}

static bool standard(const struct unit *u, struct cursor *c, struct row *r, uint8_t op)
{
	switch (op) {
	case DW_LNS_copy: return true;
	case DW_LNS_advance_pc: advance(u, r, take_uleb(c)); break;
	case DW_LNS_advance_line: r->line += (uint64_t)take_sleb(c); break;
	case DW_LNS_set_file: r->file = take_uleb(c); break;
	case DW_LNS_const_add_pc: advance(u, r, (255u - u->opcode_base) / u->line_range); break;
	case DW_LNS_fixed_advance_pc: r->address += take(c, 2); break;
	default:
		for (uint8_t i = 0; i < u->op_args[op - 1]; i++)
			take_uleb(c);
	}
	return false;
}

/* Runs on to the next row. False: the program has ended. */
static bool next_row(const struct unit *u, struct cursor *c, struct row *r)
{
	while (c->p < c->end && !c->bad) {
		uint8_t op = *c->p++;

		if (op >= u->opcode_base) {
			op = (uint8_t)(op - u->opcode_base);
			advance(u, r, op / u->line_range);
			r->line += (uint64_t)(int64_t)(u->line_base + op % u->line_range);
			return true;
		}
		if (op ? standard(u, c, r, op) : extended(c, r))
			return !c->bad;
	}
	return false;
}

static int add_sequence(struct lines *l, const struct sequence *s, size_t *budget)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 256;
		struct sequence *more;

		if ((room - l->room) * sizeof(*more) > *budget)
			return -EFBIG;
		more = realloc(l->seq, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		*budget -= (room - l->room) * sizeof(*more);
		l->seq = more;
		l->room = room;
	}
	l->seq[l->n++] = *s;
	return 0;
}

/* Functions that the linker left out keep their lines, at address 0 or thereabouts. */
static bool is_code(const struct elf_file *f, uint64_t vaddr)
{
	const struct elf_section *s = elf_file__section_at(f, vaddr);

	return s && (s->flags & SHF_EXECINSTR);
}

static int index_unit(struct lines *l, const struct elf_file *f, const struct unit *u,
		      uint32_t unit_at, size_t *budget)
{
	struct cursor c = u->program;
	struct sequence s = {.unit = unit_at, .low = UINT64_MAX};
	struct row r;
	int err = 0;

	row_reset(&r);
	s.start = (uint32_t)(c.p - l->line.data);
	while (!err && next_row(u, &c, &r)) {
		if (r.address < s.low)
			s.low = r.address;
		if (!r.end)
			continue;
		s.high = r.address;
		if (s.low < s.high && is_code(f, s.low))
			err = add_sequence(l, &s, budget);
		row_reset(&r);
		s.low = UINT64_MAX;
		s.start = (uint32_t)(c.p - l->line.data);
	}
	return err;
}

static int by_low(const void *a, const void *b)
{
	const struct sequence *x = a, *y = b;

	return (x->low > y->low) - (x->low < y->low);
}

static int index_all(struct lines *l, const struct elf_file *f, size_t *budget)
{
	struct cursor c = {.p = l->line.data, .end = l->line.data + l->line.n};
	struct unit u;
	int err = 0;

	while (!err && c.p < c.end) {
		uint32_t at = (uint32_t)(c.p - l->line.data);

		if (!read_unit(&c, &u))
			break;
		err = index_unit(l, f, &u, at, budget);
		c.p = u.next;
	}
	if (!err && l->n)
		qsort(l->seq, l->n, sizeof(*l->seq), by_low);
	return err ? err : l->n ? 0 : -ENOENT;
}

static int load(struct bytes *b, const struct elf_file *f, const char *name, size_t *budget)
{
	const struct elf_section *s = elf_file__section(f, name);
	int err;

	if (!s)
		return -ENOENT;
	/* offsets into the table are kept in 32 bits */
	err = elf_file__contents(f, s, *budget < UINT32_MAX ? *budget : UINT32_MAX, &b->data,
				 &b->n);
	if (!err)
		*budget -= b->n;
	return err;
}

int lines__open(struct lines **out, const struct elf_file *f, size_t *budget)
{
	struct lines *l = calloc(1, sizeof(*l));
	int err;

	*out = NULL;
	if (!l)
		return -ENOMEM;
	err = load(&l->line, f, ".debug_line", budget);
	if (!err) {
		load(&l->line_str, f, ".debug_line_str", budget);
		err = index_all(l, f, budget);
	}
	if (err) {
		lines__close(l);
		return err;
	}
	*out = l;
	return 0;
}

void lines__close(struct lines *l)
{
	if (!l)
		return;
	free(l->line.data);
	free(l->line_str.data);
	free(l->seq);
	free(l);
}

/* ---- names of files */

static const char *string_at(const struct bytes *b, uint64_t at)
{
	if (at >= b->n || !memchr(b->data + at, 0, b->n - at))
		return "";
	return (const char *)b->data + at;
}

/* Reads one field of a DWARF 5 directory or file; strings to *s, numbers to *n. */
static bool take_form(const struct lines *l, const struct unit *u, struct cursor *c, uint64_t form,
		      const char **s, uint64_t *n)
{
	switch (form) {
	case DW_FORM_string: *s = take_string(c); break;
	case DW_FORM_line_strp: *s = string_at(&l->line_str, take(c, u->offset_size)); break;
	/* into .debug_str: gcc and clang use .debug_line_str */
	case DW_FORM_strp: skip(c, u->offset_size); break;
	case DW_FORM_udata: *n = take_uleb(c); break;
	case DW_FORM_data1: *n = take(c, 1); break;
	case DW_FORM_data2: *n = take(c, 2); break;
	case DW_FORM_data4: *n = take(c, 4); break;
	case DW_FORM_data8: *n = take(c, 8); break;
	case DW_FORM_data16: skip(c, 16); break;
	case DW_FORM_block: skip(c, take_uleb(c)); break;
	default: return false;
	}
	return !c->bad;
}

/*
 * Goes through a DWARF 5 list and leaves the cursor behind it. The name and directory of the
 * wanted-th entry.
 */
static bool list_entry(const struct lines *l, const struct unit *u, struct cursor *c,
		       uint64_t wanted, const char **name, uint64_t *dir)
{
	size_t n_formats = (size_t)take(c, 1);
	const uint8_t *formats = c->p;
	bool found = false;
	uint64_t count;

	for (size_t i = 0; i < n_formats; i++) {
		take_uleb(c);
		take_uleb(c);
	}
	count = take_uleb(c);
	/* an entry has at least a byte, unless there are no formats */
	if (c->bad || !n_formats || count > (uint64_t)(c->end - c->p))
		return false;
	for (uint64_t k = 0; k < count; k++) {
		struct cursor f = {.p = formats, .end = c->end};

		for (size_t i = 0; i < n_formats; i++) {
			uint64_t type = take_uleb(&f), form = take_uleb(&f), n = 0;
			const char *s = "";

			if (!take_form(l, u, c, form, &s, &n))
				return false;
			if (k != wanted)
				continue;
			found = true;
			if (type == DW_LNCT_path)
				*name = s;
			else if (type == DW_LNCT_directory_index)
				*dir = n;
		}
	}
	return found;
}

static bool file_name_v5(const struct lines *l, const struct unit *u, uint64_t file,
			 const char **dir, const char **name)
{
	struct cursor c = u->names, dirs = u->names;
	uint64_t dir_index = 0, unused;

	/* past the directories */
	list_entry(l, u, &c, UINT64_MAX, dir, &unused);
	if (c.bad || !list_entry(l, u, &c, file, name, &dir_index))
		return false;
	if (!list_entry(l, u, &dirs, dir_index, dir, &unused))
		*dir = "";
	return **name;
}

static bool file_name_v4(const struct unit *u, uint64_t file, const char **dir, const char **name)
{
	struct cursor c = u->names, dirs = u->names;
	uint64_t dir_index = 0;

	while (!c.bad && *take_string(&c))
		;
	for (uint64_t i = 1; !c.bad; i++) {
		const char *s = take_string(&c);

		if (!*s)
			return false;
		dir_index = take_uleb(&c);
		take_uleb(&c); /* time */
		take_uleb(&c); /* size */
		if (i == file && !c.bad) {
			*name = s;
			break;
		}
	}
	/* 0: where the compiler ran, which only .debug_info tells */
	for (uint64_t i = 1; !dirs.bad && i <= dir_index; i++) {
		const char *s = take_string(&dirs);

		if (!*s)
			break;
		if (i == dir_index)
			*dir = s;
	}
	return **name;
}

static bool file_name(const struct lines *l, const struct unit *u, uint64_t file,
		      char out[LINES_FILE_MAX])
{
	const char *dir = "", *name = "";

	if (!(u->version == 5 ? file_name_v5(l, u, file, &dir, &name)
			      : file_name_v4(u, file, &dir, &name)))
		return false;
	if (*name == '/' || !*dir)
		snprintf(out, LINES_FILE_MAX, "%s", name);
	else
		snprintf(out, LINES_FILE_MAX, "%s/%s", dir, name);
	return true;
}

/* The row that holds the address: the last at or before it. */
static bool find_in(const struct lines *l, const struct sequence *s, uint64_t vaddr,
		    char file[LINES_FILE_MAX], unsigned int *line)
{
	struct cursor c = {.p = l->line.data + s->unit, .end = l->line.data + l->line.n};
	struct row r, last = {0};
	bool found = false;
	struct unit u;

	if (!read_unit(&c, &u))
		return false;
	c = u.program;
	c.p = l->line.data + s->start;
	row_reset(&r);
	while (next_row(&u, &c, &r)) {
		if (r.address > vaddr)
			break;
		last = r;
		found = !r.end;
		if (r.end)
			break;
	}
	/* line 0: code that belongs to no line */
	if (!found || !last.line || last.line > UINT32_MAX || !file_name(l, &u, last.file, file))
		return false;
	*line = (unsigned int)last.line;
	return true;
}

bool lines__find(const struct lines *l, uint64_t vaddr, char file[LINES_FILE_MAX],
		 unsigned int *line)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->seq[mid].low <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	/* sequences do not overlap, unless the file lies */
	for (size_t i = low, steps = 0; i && steps < 8; i--, steps++)
		if (vaddr < l->seq[i - 1].high)
			return find_in(l, &l->seq[i - 1], vaddr, file, line);
	return false;
}
