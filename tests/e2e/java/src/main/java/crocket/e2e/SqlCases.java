package crocket.e2e;

import java.io.PrintWriter;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;

/**
 * Makes expressions of the SQL92 filter and says what the Java broker's own filter library makes of them: the cases of the unit test
 * tests/unit/filter/test_sql_cases.c.
 *
 * <p>count= seed=1 out=FILE. A line for each case, separated by tabs: T, F, N (null), E (fails when evaluated) or X (does not compile);
 * the expression; the properties as name=value;name=value. Backslash, tab, line feed and carriage return are written \\ \t \n \r.
 */
public final class SqlCases {
    private static final List<String> NAMES = List.of("a", "b", "c", "d", "missing", "A", "_x$1");
    private static final List<String> VALUES = List.of("1", "2", "3", "-1", "+7", "10", "0", "007", "1.5", "-3.25", "1e3", "0.0", "-0.0",
        "NaN", "-Infinity", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "true", "TRUE", "false",
        "abc", "ABC", "b", "it's", " 5", "5 ", "0x1p3", "0x10", "1f", "2d", "1e", ".5", "5.", "-", "1L", "caf\u00e9", "a b");
    private static final List<String> NUMBERS = List.of("0", "1", "2", "3", "5", "10", "1L", "3l", "2147483647", "2147483648",
        "9223372036854775807", "9223372036854775808", "1.5", "0.0", "2.", ".5", "1e3", "5E-2", "1e400", "1e-400", "3.25", "007", "0L", "0x10",
        "1000.0", "1.e1");
    private static final List<String> TEXTS = List.of("''", "'1'", "'2'", "'abc'", "'b'", "'it''s'", "'true'", "'1.5'", "'caf\u00e9'", "'a b'",
        "'-1'", "'x'");
    private static final List<String> CONSTANTS = List.of("TRUE", "false", "NULL", "True");
    private static final List<String> COMPARISONS = List.of("=", "<>", ">", ">=", "<", "<=", "=", "=");
    private static final List<String> SEARCHES = List.of("CONTAINS", "STARTSWITH", "ENDSWITH", "contains");
    private static final List<String> SPOILERS = List.of("(", ")", ",", "'", "AND", "NOT", "IS", "+", "-", "--", "-- no\n", "/* c */", "/*",
        "a", "1", "'t'", ".", ";", "!", "NULL", "=", "BETWEEN", "IN", "\t", "\u00e9");

    private final Random random;

    private SqlCases(long seed) {
        random = new Random(seed);
    }

    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        SqlCases cases = new SqlCases(arguments.number("seed", 1));
        try (PrintWriter out = new PrintWriter(arguments.text("out"), "UTF-8")) {
            for (int i = arguments.number("count"); i > 0; i--) {
                String expression = cases.boolExpression(cases.random.nextInt(4));
                if (cases.chance(15)) {
                    expression = cases.spoiled(expression);
                }
                Map<String, String> properties = cases.properties();
                StringBuilder text = new StringBuilder();
                properties.forEach((name, value) -> text.append(text.length() > 0 ? ";" : "").append(name).append('=').append(value));
                out.print(judge(expression, properties) + "\t" + escaped(expression) + "\t" + escaped(text.toString()) + "\n");
            }
        }
    }

    private static String judge(String expression, Map<String, String> properties) {
        Expression compiled;
        try {
            compiled = FilterFactory.INSTANCE.get("SQL92").compile(expression);
        } catch (MQFilterException e) {
            return "X";
        }
        try {
            Object result = compiled.evaluate(new EvaluationContext() {
                @Override
                public Object get(String name) {
                    return properties.get(name);
                }

                @Override
                public Map<String, Object> keyValues() {
                    return new HashMap<>(properties);
                }
            });
            return result == null ? "N" : (Boolean) result ? "T" : "F";
        } catch (Exception e) {
            return "E";
        }
    }

    private static String escaped(String text) {
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    private boolean chance(int percent) {
        return random.nextInt(100) < percent;
    }

    private String one(List<String> of) {
        return of.get(random.nextInt(of.size()));
    }

    private Map<String, String> properties() {
        Map<String, String> properties = new TreeMap<>();
        for (String name : NAMES) {
            if (!name.equals("missing") && chance(70)) {
                properties.put(name, one(VALUES));
            }
        }
        return properties;
    }

    private String spoiled(String expression) {
        int at = random.nextInt(expression.length() + 1);
        int end = Math.min(expression.length(), at + random.nextInt(4));
        return expression.substring(0, at) + (chance(60) ? " " : "") + (chance(70) ? one(SPOILERS) : "") + (chance(60) ? " " : "")
            + expression.substring(end);
    }

    private String value(int depth) {
        int kind = random.nextInt(100);
        if (kind < 50) {
            return one(NAMES);
        }
        if (kind < 72) {
            return one(NUMBERS);
        }
        if (kind < 84) {
            return one(TEXTS);
        }
        if (kind < 88) {
            return one(CONSTANTS);
        }
        if (kind < 94 || depth <= 0) {
            return (chance(50) ? "-" : chance(50) ? "+" : "- -") + one(chance(50) ? NUMBERS : NAMES);
        }
        return (chance(40) ? "-" : "") + "(" + boolExpression(depth - 1) + ")";
    }

    private String texts() {
        StringBuilder list = new StringBuilder("(").append(one(TEXTS));
        for (int more = random.nextInt(7); more > 0; more--) {
            list.append(chance(50) ? ", " : ",").append(one(TEXTS));
        }
        return list.append(")").toString();
    }

    private String boolExpression(int depth) {
        String not = chance(35) ? " NOT " : " ";
        switch (random.nextInt(depth > 0 ? 12 : 7)) {
            case 0:
            case 1:
            case 2:
                return value(depth) + " " + one(COMPARISONS) + " " + value(depth);
            case 3:
                return value(depth) + not + "BETWEEN " + value(depth) + " AND " + value(depth);
            case 4:
                return (chance(90) ? one(NAMES) : value(depth)) + not + "IN " + texts();
            case 5:
                return (chance(80) ? one(NAMES) : value(depth)) + not + one(SEARCHES) + " " + one(TEXTS);
            case 6:
                return value(depth) + " IS" + not + "NULL";
            case 7:
                return "NOT (" + boolExpression(depth - 1) + ")";
            case 8:
                return "NOT " + boolExpression(depth - 1);
            case 9:
                return "(" + boolExpression(depth - 1) + ")" + (chance(50) ? " AND (" : " or (") + boolExpression(depth - 1) + ")";
            case 10:
                return boolExpression(depth - 1) + " AND " + (chance(30) ? one(NAMES) : boolExpression(depth - 1));
            default:
                return boolExpression(depth - 1) + " OR " + (chance(30) ? one(NAMES) : boolExpression(depth - 1));
        }
    }
}
