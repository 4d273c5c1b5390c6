// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For tc: loses one packet in 50. (netem is not in every kernel.) */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int drop(struct __sk_buff *skb)
{
	return bpf_get_prandom_u32() % 50 ? TC_ACT_OK : TC_ACT_SHOT;
}
