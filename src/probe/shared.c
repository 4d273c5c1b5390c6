// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/shared.h"

#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#include "log.h"

static const char section_shared[] = ".data.shared";

/* The variables of a section, as the object's BTF tells them; NULL: it has no such section. */
static const struct btf_type *section_of(const struct bpf_object *o, const char *name)
{
	const struct btf *btf = bpf_object__btf(o);
	int id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_DATASEC) : -ENOENT;

	return id < 0 ? NULL : btf__type_by_id(btf, (__u32)id);
}

static const char *variable_name(const struct bpf_object *o, const struct btf_var_secinfo *v)
{
	const struct btf *btf = bpf_object__btf(o);

	return btf__name_by_offset(btf, btf__type_by_id(btf, v->type)->name_off);
}

static const struct btf_var_secinfo *variable(const struct bpf_object *o, const char *section,
					      const char *name)
{
	const struct btf_type *t = section_of(o, section);
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++) {
		if (!strcmp(variable_name(o, &v[i]), name))
			return &v[i];
	}
	return NULL;
}

/* Headers that both include put the variables in one order; here it is made sure. */
static int check_variables(const struct bpf_object *to, const struct bpf_object *from)
{
	const struct btf_type *t = section_of(to, section_shared);
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const char *name = variable_name(to, &v[i]);
		const struct btf_var_secinfo *other = variable(from, section_shared, name);

		if (!other || other->offset != v[i].offset || other->size != v[i].size)
			return log_fail(-EINVAL, "%s and %s differ in variable %s",
					bpf_object__name(to), bpf_object__name(from), name);
	}
	return 0;
}

static int share_maps(struct bpf_object *to, const struct bpf_object *from)
{
	struct bpf_map *map, *other;
	int err;

	bpf_object__for_each_map(map, to)
	{
		const char *name = bpf_map__name(map);

		if (bpf_map__is_internal(map) && strcmp(name, section_shared) != 0)
			continue;
		other = bpf_object__find_map_by_name(from, name);
		if (!other)
			continue;
		err = bpf_map__reuse_fd(map, bpf_map__fd(other));
		if (err)
			return log_fail(err, "cannot share the map %s: %s", name, strerror(-err));
	}
	return 0;
}

static struct bpf_map *rodata_of(const struct bpf_object *o)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, o)
	{
		const char *name = bpf_map__name(map);
		size_t len = strlen(name);

		if (bpf_map__is_internal(map) && len >= 7 && !strcmp(name + len - 7, ".rodata"))
			return map;
	}
	return NULL;
}

static int copy_constants(struct bpf_object *to, const struct bpf_object *from)
{
	const struct btf_type *t = section_of(to, ".rodata");
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;
	struct bpf_map *to_map = rodata_of(to), *from_map = rodata_of(from);
	size_t to_size, from_size;
	const char *in;
	char *out;

	if (!t || !to_map || !from_map)
		return 0;
	out = (char *)bpf_map__initial_value(to_map, &to_size); /* ours until it is loaded */
	in = bpf_map__initial_value(from_map, &from_size);
	for (int i = 0; i < btf_vlen(t); i++) {
		const char *name = variable_name(to, &v[i]);
		const struct btf_var_secinfo *other = variable(from, ".rodata", name);

		if (!other)
			continue;
		if (!in || !out || other->size != v[i].size || v[i].offset + v[i].size > to_size ||
		    other->offset + other->size > from_size)
			return log_fail(-EINVAL, "%s and %s differ in constant %s",
					bpf_object__name(to), bpf_object__name(from), name);
		memcpy(out + v[i].offset, in + other->offset, v[i].size);
	}
	return 0;
}

int shared__use(struct bpf_object *to, const struct bpf_object *from)
{
	int err = check_variables(to, from);

	err = err ? err : share_maps(to, from);
	return err ? err : copy_constants(to, from);
}
