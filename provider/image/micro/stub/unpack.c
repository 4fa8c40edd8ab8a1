/*
 * Unpacks a kernel that is one Zstandard frame (RFC 8878) to its place in memory.
 *
 * It is made to be small and quick under emulation, where every instruction counts and memory is the host's: the whole output is
 * one buffer, so there is no window; bits are taken from a word that is loaded once for many of them; and what lies around
 * the input is memory too, so reads need no bounds. The frame is written by the builder: what is wrong in it is noticed at
 * the end, by the output's length.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

/* What the builder writes behind the entry; start.S knows the places of work and entry. */
struct task {
	const u8 *frame;
	u8 *output;
	u64 size;   /* of the output */
	u8 *zero;   /* memory that has to be zero when the kernel starts */
	u64 zeros;
	u64 unused;
	u8 *work;   /* page tables, stack, struct decoder */
	u64 entry;
};

enum { MAX_HUFFMAN_BITS = 11, MAX_FSE_BITS = 9, BLOCK = 128 << 10, STATE = 0x7000 };

/* One state of a finite state entropy decoder: what it stands for, and how the next one is found. */
struct cell {
	u32 base;  /* smallest value of the code; for weights, the symbol */
	u16 next;  /* smallest next state */
	u8 extra;  /* bits to add to base */
	u8 bits;   /* bits to add to next */
};

struct table {
	int bits;
	struct cell cells[1 << MAX_FSE_BITS];
};

struct decoder {
	struct table lengths, offsets, matches, weights;
	u16 huffman[1 << MAX_HUFFMAN_BITS]; /* symbol << 8 | bits */
	int huffman_bits;
	u32 recent[3];
	u8 literals[BLOCK + 64];
};

INLINE u64 load64(const u8 *p) { return *(const u64 *)p; }
INLINE u32 load32(const u8 *p) { return *(const u32 *)p; }
INLINE u32 load16(const u8 *p) { return *(const u16 *)p; }
INLINE int top_bit(u32 v) { return 31 - __builtin_clz(v); }

/* Copies by words, writing up to seven bytes too many. */
INLINE void copy(u8 *to, const u8 *from, u64 n)
{
	for (u8 *end = to + n; to < end; to += 8, from += 8)
		*(u64 *)to = load64(from);
}

static NOINLINE void fill(u8 *to, u8 value, u64 n)
{
	u64 word = value * 0x0101010101010101UL;
	u8 *end = to + n;
	for (; to + 8 <= end; to += 8)
		*(u64 *)to = word;
	while (to < end)
		*to++ = value;
}

/* Bits read backwards from the end of a stream (RFC 8878, 4.1): word has the next ones on top. */
struct bits {
	const u8 *base;
	long left; /* in the stream; negative once more was read than there is */
	u64 word;
};

/* Makes at least 57 bits ready. */
INLINE void refill(struct bits *b)
{
	long up = (b->left + 7) >> 3;
	b->word = load64(b->base + up - 8) << (up * 8 - b->left);
}

INLINE u32 take(struct bits *b, int n)
{
	u32 v = (u32)(b->word >> 1 >> (63 - n));
	b->word <<= n;
	b->left -= n;
	return v;
}

INLINE void open_bits(struct bits *b, const u8 *base, u64 size)
{
	b->base = base;
	b->left = (long)(size - 1) * 8 + top_bit(base[size - 1]); /* the highest bit set marks the end */
	refill(b);
}

/* Makes a decoding table of the probabilities (4.1.1). A probability of -1 is 'less than 1'. */
static NOINLINE void make_table(struct table *t, const short *counts, int symbols, int bits, const u32 *bases, const u8 *extras)
{
	u16 next[64];
	u8 spread[1 << MAX_FSE_BITS];
	int size = 1 << bits, high = size - 1, at = 0, step = (size >> 1) + (size >> 3) + 3;
	t->bits = bits;
	for (int s = 0; s < symbols; s++) {
		next[s] = counts[s];
		if (counts[s] == -1) {
			spread[high--] = s;
			next[s] = 1;
		}
	}
	for (int s = 0; s < symbols; s++)
		for (int i = 0; i < counts[s]; i++) {
			spread[at] = s;
			do
				at = (at + step) & (size - 1);
			while (at > high);
		}
	for (int i = 0; i < size; i++) {
		int s = spread[i], state = next[s]++;
		struct cell *c = &t->cells[i];
		c->bits = bits - top_bit(state);
		c->next = (state << c->bits) - size;
		c->base = bases ? bases[s] : (u32)s;
		c->extra = extras ? extras[s] : 0;
	}
}

/* Reads a table's description (4.1.1); returns what follows it. */
static NOINLINE const u8 *read_table(struct table *t, const u8 *p, const u32 *bases, const u8 *extras)
{
	short counts[64];
	u64 at = 0; /* bits read, forwards */
#define PEEK() ((u32)(load64(p + (at >> 3)) >> (at & 7)))
	int bits = (PEEK() & 15) + 5, symbols = 0, left = (1 << bits) + 1;
	at = 4;
	while (left > 1 && symbols < 64) {
		int width = top_bit(left) + 1, small = (1 << width) - 1 - left;
		int low = PEEK() & ((1 << (width - 1)) - 1), value;
		if (low < small) {
			value = low;
			at += width - 1;
		} else {
			value = PEEK() & ((1 << width) - 1);
			if (value >= 1 << (width - 1))
				value -= small;
			at += width;
		}
		value--;
		left -= value < 0 ? -value : value;
		counts[symbols++] = value;
		if (value == 0)
			for (u32 more = 3; more == 3;) {
				more = PEEK() & 3;
				at += 2;
				for (u32 i = 0; i < more && symbols < 64; i++)
					counts[symbols++] = 0;
			}
	}
	make_table(t, counts, symbols, bits, bases, extras);
	return p + ((at + 7) >> 3);
}

/* Reads a Huffman tree's description (4.2.1) and makes its table; returns what follows it. */
static NOINLINE const u8 *read_huffman(struct decoder *d, const u8 *p)
{
	u8 weights[256];
	u32 ranks[16] = { 0 }, sum = 0;
	int n = 0, header = *p++;
	const u8 *end = p + header;
	if (header >= 128) {
		n = header - 127;
		for (int i = 0; i < n; i++)
			weights[i] = i & 1 ? p[i / 2] & 15 : p[i / 2] >> 4;
		end = p + (n + 1) / 2;
	} else {
		struct table *t = &d->weights;
		struct bits b;
		p = read_table(t, p, 0, 0);
		open_bits(&b, p, end - p);
		u32 a = take(&b, t->bits), c = take(&b, t->bits);
		while (n < 254) { /* two states by turns, until the bits are used up */
			refill(&b);
			weights[n++] = t->cells[a].base;
			a = t->cells[a].next + take(&b, t->cells[a].bits);
			if (b.left < 0) {
				weights[n++] = t->cells[c].base;
				break;
			}
			weights[n++] = t->cells[c].base;
			c = t->cells[c].next + take(&b, t->cells[c].bits);
			if (b.left < 0) {
				weights[n++] = t->cells[a].base;
				break;
			}
		}
	}
	for (int i = 0; i < n; i++)
		sum += weights[i] ? 1u << (weights[i] - 1) : 0;
	int bits = top_bit(sum) + 1;
	weights[n++] = top_bit((1u << bits) - sum) + 1; /* the last one makes the sum a power of two */
	if (bits > MAX_HUFFMAN_BITS)
		bits = MAX_HUFFMAN_BITS; /* not from our builder */
	d->huffman_bits = bits;
	for (int i = 0; i < n; i++)
		ranks[weights[i]]++;
	for (u32 w = 1, at = 0; w < 16; w++) {
		u32 count = ranks[w];
		ranks[w] = at;
		at += count << (w - 1);
	}
	for (int i = 0; i < n; i++) {
		if (!weights[i])
			continue;
		u32 cells = 1u << (weights[i] - 1), *at = &ranks[weights[i]];
		for (u32 end = *at + cells; *at < end && *at < 1u << bits; ++*at)
			d->huffman[*at] = i << 8 | (bits + 1 - weights[i]);
	}
	return end;
}

static NOINLINE void read_stream(struct decoder *d, const u8 *p, u64 size, u8 *to, u64 n)
{
	struct bits b;
	int shift = 64 - d->huffman_bits;
	u8 *end = to + n;
	const u16 *table = d->huffman;
#define SYMBOL() do { \
		u32 e = table[b.word >> shift]; \
		b.word <<= e & 255; \
		b.left -= e & 255; \
		*to++ = e >> 8; \
	} while (0)
	open_bits(&b, p, size);
	while (to + 5 <= end) {
		SYMBOL();
		SYMBOL();
		SYMBOL();
		SYMBOL();
		SYMBOL();
		refill(&b);
	}
	while (to < end)
		SYMBOL();
}

/* Reads a literals section (3.1.1.3.1) to *literals; returns what follows it. */
static NOINLINE const u8 *read_literals(struct decoder *d, const u8 *p, const u8 **literals, u64 *count)
{
	int type = *p & 3, format = *p >> 2 & 3;
	u64 size, packed, head = load64(p);
	*literals = d->literals;
	if (type < 2) {
		static const u8 widths[] = { 1, 2, 1, 3 };
		size = format & 1 ? (head & ((1UL << (8 * widths[format])) - 1)) >> 4 : (u32)(*p >> 3);
		p += widths[format];
		*count = size;
		if (type == 1) {
			fill(d->literals, *p, size);
			return p + 1;
		}
		*literals = p;
		return p + size;
	}
	int width = format < 2 ? 10 : format == 2 ? 14 : 18;
	size = head >> 4 & ((1 << width) - 1);
	packed = head >> (4 + width) & ((1 << width) - 1);
	p += (4 + 2 * width + 7) / 8;
	const u8 *end = p + packed;
	*count = size;
	if (type == 2)
		p = read_huffman(d, p);
	if (format == 0) {
		read_stream(d, p, end - p, d->literals, size);
		return end;
	}
	u64 part = (size + 3) / 4, a = load16(p), b = load16(p + 2), c = load16(p + 4);
	p += 6;
	read_stream(d, p, a, d->literals, part);
	read_stream(d, p + a, b, d->literals + part, part);
	read_stream(d, p + a + b, c, d->literals + 2 * part, part);
	read_stream(d, p + a + b + c, end - (p + a + b + c), d->literals + 3 * part, size - 3 * part);
	return end;
}

/* Codes of literal lengths and match lengths (3.1.1.3.2.1.1): smallest values and added bits. */
static const u32 length_bases[36] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48,
	64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536 };
static const u8 length_extras[36] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10,
	11, 12, 13, 14, 15, 16 };
static const u32 match_bases[53] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
	28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387,
	32771, 65539 };
static const u8 match_extras[53] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
static const u32 offset_bases[32] = { 1u << 0, 1u << 1, 1u << 2, 1u << 3, 1u << 4, 1u << 5, 1u << 6, 1u << 7, 1u << 8, 1u << 9,
	1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21,
	1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31 };
static const u8 offset_extras[32] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
	25, 26, 27, 28, 29, 30, 31 };

/* Probabilities that need no description (3.1.1.3.2.2). */
static const short default_lengths[36] = { 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
	1, 1, -1, -1, -1, -1 };
static const short default_matches[53] = { 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1 };
static const short default_offsets[29] = { 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1,
	-1 };

static NOINLINE const u8 *choose_table(int mode, struct table *t, const u8 *p, const short *counts, int symbols, int bits,
	const u32 *bases, const u8 *extras)
{
	switch (mode) {
	case 0:
		make_table(t, counts, symbols, bits, bases, extras);
		break;
	case 1: /* one code for all */
		t->bits = 0;
		t->cells[0] = (struct cell){ .base = bases[*p], .extra = extras[*p] };
		return p + 1;
	case 2:
		return read_table(t, p, bases, extras);
	}
	return p; /* as in the last block */
}

/* Copies a match, which may overlap what it makes. */
INLINE void copy_match(u8 *to, u32 offset, u64 n)
{
	const u8 *from = to - offset;
	if (offset >= 8) {
		copy(to, from, n);
		return;
	}
	u8 *end = to + n;
	for (int i = 0; i < 8; i++)
		*to++ = *from++;
	for (from = to - offset; to - from < 8;)
		from -= offset; /* what is there by now repeats with the same period */
	if (to < end)
		copy(to, from, end - to);
}

static NOINLINE u8 *read_block(struct decoder *d, const u8 *p, u64 size, u8 *to)
{
	const u8 *end = p + size, *literals;
	u64 count;
	p = read_literals(d, p, &literals, &count);
	const u8 *last = literals + count;
	u32 sequences = *p++;
	if (sequences >= 128) {
		if (sequences == 255) {
			sequences = load16(p) + 0x7f00;
			p += 2;
		} else
			sequences = ((sequences - 128) << 8) + *p++;
	}
	if (sequences) {
		int modes = *p++;
		p = choose_table(modes >> 6, &d->lengths, p, default_lengths, 36, 6, length_bases, length_extras);
		p = choose_table(modes >> 4 & 3, &d->offsets, p, default_offsets, 29, 5, offset_bases, offset_extras);
		p = choose_table(modes >> 2 & 3, &d->matches, p, default_matches, 53, 6, match_bases, match_extras);
		struct bits b;
		open_bits(&b, p, end - p);
		const struct cell *l = d->lengths.cells + take(&b, d->lengths.bits);
		const struct cell *o = d->offsets.cells + take(&b, d->offsets.bits);
		const struct cell *m = d->matches.cells + take(&b, d->matches.bits);
		u32 r0 = d->recent[0], r1 = d->recent[1], r2 = d->recent[2];
		for (;;) {
			refill(&b);
			u32 offset = o->base + take(&b, o->extra);
			if (o->extra > 20)
				refill(&b);
			u32 match = m->base + take(&b, m->extra);
			u32 length = l->base + take(&b, l->extra);
			if (o->extra > 1) {
				offset -= 3;
				r2 = r1;
				r1 = r0;
				r0 = offset;
			} else { /* one of the recent offsets (3.1.1.5) */
				offset += length == 0;
				if (offset == 1)
					offset = r0;
				else {
					u32 chosen = offset == 2 ? r1 : offset == 3 ? r2 : r0 - 1;
					if (offset != 2)
						r2 = r1;
					r1 = r0;
					r0 = offset = chosen;
				}
			}
			copy(to, literals, length);
			to += length;
			literals += length;
			copy_match(to, offset, match);
			to += match;
			if (--sequences == 0)
				break;
			refill(&b);
			l = d->lengths.cells + l->next + take(&b, l->bits);
			m = d->matches.cells + m->next + take(&b, m->bits);
			o = d->offsets.cells + o->next + take(&b, o->bits);
		}
		d->recent[0] = r0;
		d->recent[1] = r1;
		d->recent[2] = r2;
	}
	copy(to, literals, last - literals);
	return to + (last - literals);
}

/* Called by start.S; returns 0 when all is well. */
int unpack(const struct task *t)
{
	struct decoder *d = (struct decoder *)(t->work + STATE);
	const u8 *p = t->frame;
	u8 *to = t->output, *end = to + t->size;
	if (load32(p) != 0xfd2fb528)
		return 1;
	static const u8 id_sizes[] = { 0, 1, 2, 4 }, size_sizes[] = { 0, 2, 4, 8 };
	int flags = p[4], single = flags >> 5 & 1;
	p += 5 + !single + id_sizes[flags & 3] + size_sizes[flags >> 6] + (single && flags < 64);
	d->recent[0] = 1;
	d->recent[1] = 4;
	d->recent[2] = 8;
	for (int last = 0; !last;) {
		u32 head = load32(p) & 0xffffff, size = head >> 3;
		p += 3;
		last = head & 1;
		if (to > end)
			return 1;
		switch (head >> 1 & 3) {
		case 0:
			copy(to, p, size);
			to += size;
			p += size;
			break;
		case 1:
			fill(to, *p++, size);
			to += size;
			break;
		case 2:
			to = read_block(d, p, size, to);
			p += size;
			break;
		default:
			return 1;
		}
	}
	fill(t->zero, 0, t->zeros);
	return to != end;
}
