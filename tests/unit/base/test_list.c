#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct list node;
};

static int pop_value(struct list *l)
{
    struct list *node = list_pop(l);
    return node ? LIST_ENTRY(node, struct item, node)->value : -1;
}

static void pops_in_the_order_of_adding(void **state)
{
    struct list l;
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&l);
    assert_true(list_empty(&l));
    assert_int_equal(pop_value(&l), -1);
    for (int i = 0; i < 3; i++)
        list_add_tail(&l, &items[i].node);
    assert_false(list_empty(&l));
    assert_int_equal(pop_value(&l), 1);
    assert_int_equal(pop_value(&l), 2);
    assert_int_equal(pop_value(&l), 3);
    assert_true(list_empty(&l));
}

static void deletes_in_the_middle_and_twice(void **state)
{
    struct list l;
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&l);
    for (int i = 0; i < 3; i++)
        list_add_tail(&l, &items[i].node);
    list_del(&items[1].node);
    list_del(&items[1].node);
    assert_true(list_empty(&items[1].node));
    assert_int_equal(pop_value(&l), 1);
    list_add_tail(&l, &items[1].node);
    assert_int_equal(pop_value(&l), 3);
    assert_int_equal(pop_value(&l), 2);
    assert_int_equal(pop_value(&l), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_in_the_order_of_adding),
        cmocka_unit_test(deletes_in_the_middle_and_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
