/*
 * Runs a fuzz target without a fuzzer: every file of the folder given as argument, and for each some thousand damaged
 * copies that are the same on every run. A finding is a crash of the target.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 256 / TEST_SHARE, DAMAGES = 2000 / TEST_SHARE, FILE_MAX = 1 << 20 };

static uint64_t random_state;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return n ? (size_t)(random_state % n) : 0;
}

/* A copy of exactly the size, so that a sanitizer sees a read behind its end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_cut(const uint8_t *data, size_t size)
{
    size_t step = size / CUTS + 1;
    for (size_t n = 0; n < size; n += step) {
        run(data, n);
        run(data + n, size - n);
    }
}

static void damage(uint8_t *data, size_t *size, size_t cap)
{
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\\', '{', '}', '[', ']', ',', ':', '\n', '0', '9'};
    size_t at = random_below(*size), n = random_below(16) + 1;
    if (n > *size - at)
        n = *size - at;
    switch (random_below(4)) {
    case 0:
        data[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        data[at] = telling[random_below(sizeof telling)];
        break;
    case 2:
        memmove(data + at, data + at + n, *size - at - n);
        *size -= n;
        break;
    default:
        if (*size + n > cap)
            break;
        memmove(data + at + n, data + at, *size - at);
        *size += n;
    }
}

static void run_damaged(const uint8_t *data, size_t size)
{
    size_t cap = size + 64;
    uint8_t *copy = malloc(cap);
    if (copy == NULL)
        abort();
    for (int i = 0; i < DAMAGES; i++) {
        size_t n = size;
        memcpy(copy, data, size);
        for (size_t k = random_below(4) + 1; k > 0 && n > 0; k--)
            damage(copy, &n, cap);
        run(copy, n);
    }
    free(copy);
}

static int replay_file(const char *path, size_t number)
{
    static uint8_t data[FILE_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    size_t size = fread(data, 1, sizeof data, f);
    bool whole = feof(f) && !ferror(f);
    fclose(f);
    if (!whole) {
        fprintf(stderr, "%s: cannot be read, or is larger than %d bytes\n", path, (int)FILE_MAX);
        return -1;
    }
    random_state = 0x9E3779B97F4A7C15u + number;
    run(data, size);
    run_cut(data, size);
    run_damaged(data, size);
    return 0;
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    char path[4096];
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, is_seed, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no such folder, or no seeds in it\n", argv[1]);
        return 1;
    }
    int bad = 0;
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        bad |= replay_file(path, (size_t)i);
        free(entries[i]);
    }
    free(entries);
    printf("%d seeds\n", count);
    return bad ? 1 : 0;
}
