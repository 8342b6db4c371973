package bench;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A property's JSON value to what a feature keeps, or null where it is unknown (CONTRACT.md 3, R14 to R17). */
final class Values {
  static final int ID_CHARS_MAX = 256;
  private static final int WORDS_MAX = 8192;
  private static final int CACHED_CHARS_MAX = 64;
  private static final double ABOVE_ZERO = 0.01;
  private static final String AMOUNT = "\\$?\\s*(\\d{1,3}(?:,\\d{3})+(?:\\.\\d+)?|\\d+(?:\\.\\d+)?)\\s*([kmbKMB]?)";
  private static final Pattern UNDER = Pattern.compile("<\\s*" + AMOUNT);
  private static final Pattern FROM = Pattern.compile("(?:>\\s*" + AMOUNT + "|" + AMOUNT + "\\s*\\+)");
  private static final Pattern BETWEEN =
      Pattern.compile(AMOUNT + "\\s*[-\\u058a\\u2010-\\u2015\\u2212\\ufe58\\ufe63\\uff0d]\\s*" + AMOUNT);

  /** One thread scores, so no lock; bounded, because producers choose the words. */
  private static final Map<String, String> WORDS = new HashMap<>();

  private Values() {}

  static boolean isAbsent(Object value) {
    return value == null || (value instanceof String text && text.isBlank());
  }

  /** An id: 1 to 256 characters after trimming, or an integer as its decimals. */
  static String id(Object value) {
    if (value instanceof String text) {
      String trimmed = text.strip();
      return trimmed.isEmpty() || trimmed.codePointCount(0, trimmed.length()) > ID_CHARS_MAX ? null : trimmed;
    }
    return value instanceof Long number ? number.toString() : null;
  }

  /** A word in its compared form: lower case, `_` and `-` as spaces, runs of spaces as one, trimmed. */
  static String word(Object value) {
    if (!(value instanceof String text) || text.length() > ID_CHARS_MAX) {
      return null;
    }
    String known = WORDS.get(text);
    if (known == null) {
      known = normalised(text);
      if (text.length() <= CACHED_CHARS_MAX) {
        if (WORDS.size() >= WORDS_MAX) {
          WORDS.clear();
        }
        WORDS.put(text, known);
      }
    }
    return known.isEmpty() ? null : known;
  }

  private static String normalised(String text) {
    String spaced = text.toLowerCase(Locale.ROOT).replace('_', ' ').replace('-', ' ').strip();
    while (spaced.contains("  ")) {
      spaced = spaced.replace("  ", " ");
    }
    return spaced;
  }

  /** A word; an integer is the word of its decimals. */
  static String label(Object value) {
    return word(value instanceof String ? value : id(value));
  }

  static Double number(Object value) {
    double number = value instanceof Long l ? l : value instanceof Double d ? d : -1;
    return number >= 0 ? number : null;
  }

  static Double whole(Object value) {
    Double number = number(value);
    return number == null || number != Math.rint(number) ? null : number;
  }

  /** A number, or a band such as `<1M`, `$10M-$100M`, `100M+`: its lower bound counts. */
  static Double amount(Object value) {
    if (!(value instanceof String text)) {
      return number(value);
    }
    String trimmed = text.strip();
    Matcher match = UNDER.matcher(trimmed);
    if (match.matches()) {
      return amount(match.group(1), match.group(2)) > 0 ? ABOVE_ZERO : null;
    }
    match = FROM.matcher(trimmed);
    if (match.matches()) {
      boolean above = match.group(1) != null;
      return lowerBound(amount(match.group(above ? 1 : 3), match.group(above ? 2 : 4)));
    }
    match = BETWEEN.matcher(trimmed);
    return match.matches() ? between(match) : null;
  }

  private static Double between(Matcher match) {
    double high = amount(match.group(3), match.group(4));
    double low = amount(match.group(1), match.group(2));
    double shared = amount(match.group(1), match.group(4));
    if (match.group(2).isEmpty() && shared <= high) {
      low = shared; // `10-50M` is 10M-50M
    }
    return low <= high ? lowerBound(low) : null;
  }

  private static double amount(String digits, String unit) {
    double factor =
        switch (unit.toLowerCase(Locale.ROOT)) {
          case "k" -> 1e3;
          case "m" -> 1e6;
          case "b" -> 1e9;
          default -> 1;
        };
    return Double.parseDouble(digits.replace(",", "")) * factor;
  }

  private static Double lowerBound(double amount) {
    return amount == 0 ? ABOVE_ZERO : amount;
  }

  /** By code points, which is how UTF-8 sorts; Java's own order is that of UTF-16. */
  static int compare(String left, String right) {
    return Arrays.compareUnsigned(left.getBytes(StandardCharsets.UTF_8), right.getBytes(StandardCharsets.UTF_8));
  }
}
