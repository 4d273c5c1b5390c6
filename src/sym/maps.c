/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads /proc/PID/maps. Paths in it are whatever the process liked: nothing in them is trusted. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sym/maps.h"

/* Far beyond vm.max_map_count's default of 65530 lines. */
#define TEXT_MAX (64u << 20)

static const char deleted[] = " (deleted)";

/* Base 16 or 10, without the signs and blanks that strtoull() takes. */
static bool number(char **p, int base, char end, uint64_t *out)
{
	char *s = *p;

	if (!((*s >= '0' && *s <= '9') || (base == 16 && *s >= 'a' && *s <= 'f')))
		return false;
	errno = 0;
	*out = strtoull(s, p, base);
	if (errno || **p != end)
		return false;
	if (end)
		(*p)++;
	return true;
}

/*
 * The kernel writes a newline as \012 and leaves a backslash as it is (seq_file_path(m, file,
 * "\n")), so a name that holds these four characters reads the same: who opens it has to compare
 * the inode.
 */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (!strncmp(s, "\\012", 4)) {
			*to++ = '\n';
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

static bool parse_mode(char **p, struct map *m)
{
	char *s = *p;

	if (strnlen(s, 5) < 5 || s[4] != ' ')
		return false;
	m->read = s[0] == 'r';
	m->write = s[1] == 'w';
	m->exec = s[2] == 'x';
	m->shared = s[3] == 's';
	*p = s + 5;
	return true;
}

int map__parse(char *line, struct map *m)
{
	uint64_t major, minor;
	char *p = line;
	size_t len;

	memset(m, 0, sizeof(*m));
	if (!number(&p, 16, '-', &m->start) || !number(&p, 16, ' ', &m->end) ||
	    !parse_mode(&p, m) || !number(&p, 16, ' ', &m->offset) ||
	    !number(&p, 16, ':', &major) || !number(&p, 16, ' ', &minor))
		return -EINVAL;
	m->major = (uint32_t)major;
	m->minor = (uint32_t)minor;
	len = strcspn(p, " ");
	if (p[len]) {
		p[len] = 0;
		m->path = p + len + 1 + strspn(p + len + 1, " ");
	} else {
		m->path = p + len;
	}
	if (!number(&p, 10, 0, &m->inode) || m->start >= m->end)
		return -EINVAL;

	p = line + (m->path - line);
	unescape(p);
	len = strlen(p);
	if (m->inode && len > strlen(deleted) && !strcmp(p + len - strlen(deleted), deleted)) {
		p[len - strlen(deleted)] = 0;
		m->deleted = true;
	}
	return 0;
}

/* Lines beyond the kernel's order would break the search: they are not the kernel's. */
int maps__parse(struct maps *m, char *text, size_t len, bool exec_only)
{
	size_t lines = 0, n = 0;
	char *line, *end;

	memset(m, 0, sizeof(*m));
	m->memory = text;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n' || !text[i];
	m->map = calloc(lines + 1, sizeof(*m->map));
	if (!m->map) {
		maps__free(m);
		return -ENOMEM;
	}
	for (line = text; line < text + len; line = end + 1) {
		struct map *map = &m->map[n];

		end = line + strcspn(line, "\n");
		*end = 0;
		if (map__parse(line, map) || (n && map->start < map[-1].end))
			m->lost++;
		else if (map->exec || !exec_only)
			n++;
	}
	m->n = n;
	return 0;
}

static int read_all(int fd, char **out, size_t *len)
{
	size_t room = 64 << 10, n = 0;
	char *text = NULL;
	ssize_t got;

	do {
		if (!text || room - n < 4096) {
			char *more = realloc(text, room * 2 + 1);

			if (!more) {
				free(text);
				return -ENOMEM;
			}
			text = more;
			room *= 2;
		}
		got = read(fd, text + n, room - n);
		if (got < 0 && errno != EINTR) {
			int err = -errno;

			free(text);
			return err;
		}
		n += got > 0 ? (size_t)got : 0;
	} while (got && n < TEXT_MAX);
	text[n] = 0;
	*out = text;
	*len = n;
	return 0;
}

int maps__read_fd(struct maps *m, int fd, bool exec_only)
{
	char *text = NULL;
	size_t len = 0;
	int err;

	memset(m, 0, sizeof(*m));
	err = read_all(fd, &text, &len);
	if (err)
		return err;
	if (!len) {
		free(text);
		return -ESRCH;
	}
	return maps__parse(m, text, len, exec_only);
}

int maps__read(struct maps *m, pid_t pid, bool exec_only)
{
	char path[64];
	int fd, err;

	memset(m, 0, sizeof(*m));
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	err = maps__read_fd(m, fd, exec_only);
	close(fd);
	return err;
}

void maps__free(struct maps *m)
{
	if (!m)
		return;
	free(m->map);
	free(m->memory);
	memset(m, 0, sizeof(*m));
}

const struct map *maps__find(const struct maps *m, uint64_t address)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->map[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->n && m->map[low].start <= address ? &m->map[low] : NULL;
}
