package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;

/** One event of the native form; of its properties only what `pql-100` looks at. */
final class Event {
  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();

  final String eventId;
  final String leadId;
  final String accountId;
  final String name;
  final long occurredAtMs;
  Object feature, featureName, runId, status, level, kind, postId, requestId;
  Object teamSize, employees, revenueUsd, revenue, industry, segment;

  /**
   * Reads a record's value with a pull parser, so that what nobody asks for is never built.
   *
   * <p>Throws IllegalArgumentException where it is no event: the benchmark feeds none of those.
   */
  Event(byte[] value, long recordMs) throws IOException {
    Object id = null, user = null, anonymous = null, account = null, event = null, time = null;
    try (JsonParser json = JSON.createParser(value)) {
      require(json.nextToken() == JsonToken.START_OBJECT, "not an object");
      for (String field = json.nextFieldName(); field != null; field = json.nextFieldName()) {
        json.nextToken();
        switch (field) {
          case "event_id" -> id = scalar(json);
          case "user_id" -> user = scalar(json);
          case "anonymous_id" -> anonymous = scalar(json);
          case "account_id" -> account = scalar(json);
          case "event" -> event = scalar(json);
          case "occurred_at" -> time = scalar(json);
          case "properties" -> readProperties(json);
          default -> json.skipChildren();
        }
      }
    }
    eventId = Values.id(id);
    String userId = Values.id(user);
    String anonymousId = Values.id(anonymous);
    leadId = userId != null ? userId : anonymousId == null ? null : "anon:" + anonymousId;
    accountId = Values.id(account);
    name = event instanceof String text ? text.strip() : null;
    require(eventId != null && leadId != null && name != null && !name.isEmpty(), "event_id, user_id, event");
    occurredAtMs = Times.parse(time, recordMs);
  }

  private void readProperties(JsonParser json) throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      require(json.currentToken() == JsonToken.VALUE_NULL, "properties");
      return;
    }
    for (String field = json.nextFieldName(); field != null; field = json.nextFieldName()) {
      json.nextToken();
      switch (field) {
        case "feature" -> feature = scalar(json);
        case "feature_name" -> featureName = scalar(json);
        case "run_id" -> runId = scalar(json);
        case "status" -> status = scalar(json);
        case "level" -> level = scalar(json);
        case "kind" -> kind = scalar(json);
        case "post_id" -> postId = scalar(json);
        case "request_id" -> requestId = scalar(json);
        case "team_size" -> teamSize = scalar(json);
        case "employees" -> employees = scalar(json);
        case "company_revenue_usd" -> revenueUsd = scalar(json);
        case "company_revenue" -> revenue = scalar(json);
        case "industry" -> industry = scalar(json);
        case "segment" -> segment = scalar(json);
        default -> json.skipChildren();
      }
    }
  }

  /** A String, Long, Double or Boolean; null for null; the parser for what is of no use to anybody. */
  private static Object scalar(JsonParser json) throws IOException {
    return switch (json.currentToken()) {
      case VALUE_STRING -> json.getText();
      case VALUE_NUMBER_INT -> json.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          ? (Object) json.getDoubleValue()
          : (Object) json.getLongValue();
      case VALUE_NUMBER_FLOAT -> json.getDoubleValue();
      case VALUE_TRUE, VALUE_FALSE -> json.getBooleanValue();
      case START_OBJECT, START_ARRAY -> {
        json.skipChildren();
        yield json;
      }
      default -> null;
    };
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new IllegalArgumentException(what);
    }
  }
}
