/* Texts of queries: however they are cut they mean the same, and what is found is explained. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "region/gateway/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Words
read_in(const uint8_t *data, size_t size, size_t piece, bool standard)
{
	Words w;

	words_start(&w, standard);
	for (size_t at = 0; at < size; at += piece)
		words_add(&w, (const char *)data + at, size - at < piece ? size - at : piece);
	words_end(&w);
	return w;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool standard = size == 0 || data[0] % 4 != 0;
	Words whole = read_in(data, size, size + 1, standard);
	Words cut = read_in(data, size, 1 + size % 3, standard);

	if (memcmp(&whole, &cut, sizeof whole) != 0)
		abort();
	if (whole.found >= WORD_BYTES || (whole.found && !whole.statements) ||
	    whole.savepoints > whole.deepest || !memchr(whole.name, 0, sizeof whole.name))
		abort();
	for (uint32_t bit = 1; bit <= WORD_BYTES; bit <<= 1)
		if (!word_name((Word)bit))
			abort();
	return 0;
}
