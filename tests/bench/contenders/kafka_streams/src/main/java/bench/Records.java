package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.io.SerializedString;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Comparator;
import java.util.Locale;
import java.util.stream.IntStream;

/** The records of `score-changed` and `pql-qualified`, version 1 (CONTRACT.md 5 and 6). */
final class Records {
  private static final JsonFactory JSON = new JsonFactory();
  private static final SerializedString RULE = new SerializedString("rule");
  private static final SerializedString GROUP = new SerializedString("group");
  private static final SerializedString POINTS = new SerializedString("points");
  private static final SerializedString POINTS_BEFORE = new SerializedString("points_before");
  private static final SerializedString POINTS_MAX = new SerializedString("points_max");
  private static final SerializedString INPUT = new SerializedString("input");
  private static final SerializedString MOVED_BY = new SerializedString("moved_by");
  private static final SerializedString EVENT_ID = new SerializedString("event_id");
  private static final SerializedString TOPIC = new SerializedString("topic");
  private static final SerializedString PARTITION = new SerializedString("partition");
  private static final SerializedString OFFSET = new SerializedString("offset");
  private static final SerializedString[] RULES = serialized(Pql100.RULES);
  private static final SerializedString[] GROUPS = serialized(Pql100.GROUPS);

  private final SerializedString topic;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream(4096);

  Records(String topic) {
    this.topic = new SerializedString(topic);
  }

  private static SerializedString[] serialized(String[] texts) {
    SerializedString[] made = new SerializedString[texts.length];
    for (int i = 0; i < texts.length; i++) {
      made[i] = new SerializedString(texts[i]);
    }
    return made;
  }

  byte[] scoreChanged(Change change) throws IOException {
    out.reset();
    try (JsonGenerator json = JSON.createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("change_id", change.id());
      json.writeStringField("schema", "score-changed/1");
      writeWho(json, change);
      json.writeNumberField("sequence", change.lead().sequence);
      json.writeStringField("occurred_at", Times.format(change.event().occurredAtMs));
      json.writeNumberField("score_before", change.scoreBefore());
      json.writeNumberField("score_after", change.scoreAfter());
      json.writeStringField("tier_before", Pql100.TIERS[Pql100.tier(change.scoreBefore())]);
      json.writeStringField("tier_after", Pql100.TIERS[Pql100.tier(change.scoreAfter())]);
      writeGroups(json, change.after());
      json.writeArrayFieldStart("contributions");
      for (int rule = 0; rule < Lead.RULES; rule++) {
        writeContribution(json, change, rule);
      }
      json.writeEndArray();
      json.writeObjectFieldStart("cause");
      json.writeFieldName(EVENT_ID);
      json.writeString(change.cause().eventId());
      json.writeStringField("event", change.event().name);
      writePlace(json, change.cause());
      json.writeEndObject();
      json.writeEndObject();
    }
    return out.toByteArray();
  }

  byte[] qualified(Change change, String id, int tier, int tierBefore) throws IOException {
    out.reset();
    Lead lead = change.lead();
    try (JsonGenerator json = JSON.createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("qualification_id", id);
      json.writeStringField("schema", "pql-qualified/1");
      writeWho(json, change);
      json.writeStringField("tier", Pql100.TIERS[tier]);
      json.writeStringField("tier_before", Pql100.TIERS[tierBefore]);
      json.writeNumberField("score", change.scoreAfter());
      json.writeBooleanField("sales_ready", tier >= Pql100.SALES_READY_FROM);
      json.writeStringField("handoff", Pql100.HANDOFF[tier]);
      json.writeStringField("occurred_at", Times.format(change.event().occurredAtMs));
      json.writeStringField("change_id", change.id());
      json.writeArrayFieldStart("reasons");
      int[] points = change.after();
      int[] earned =
          IntStream.range(0, Lead.RULES)
              .filter(rule -> points[rule] > 0)
              .boxed()
              .sorted(Comparator.comparing(rule -> -points[rule]))
              .mapToInt(Integer::intValue)
              .toArray();
      for (int rule : earned) {
        json.writeString(reason(lead, rule, points) + " (+" + points[rule] + ")");
      }
      json.writeEndArray();
      json.writeObjectFieldStart("profile");
      json.writeFieldName("team_size");
      writeNumber(json, lead.teamSize);
      json.writeStringField("industry", lead.industry.word);
      json.writeStringField("segment", lead.segment.word);
      json.writeFieldName("company_revenue_usd");
      writeNumber(json, lead.revenue);
      json.writeEndObject();
      json.writeEndObject();
    }
    return out.toByteArray();
  }

  private static void writeWho(JsonGenerator json, Change change) throws IOException {
    json.writeStringField("mode", "live");
    json.writeStringField("lead_id", change.event().leadId);
    json.writeStringField("account_id", change.lead().account.word);
    json.writeStringField("pack", Pql100.NAME);
    json.writeNumberField("pack_version", Pql100.VERSION);
  }

  private static void writeGroups(JsonGenerator json, int[] points) throws IOException {
    int[] sums = new int[GROUPS.length];
    for (int rule = 0; rule < Lead.RULES; rule++) {
      sums[Pql100.GROUP_OF_RULE[rule]] += points[rule];
    }
    json.writeObjectFieldStart("groups");
    for (int group = 0; group < GROUPS.length; group++) {
      json.writeFieldName(GROUPS[group]);
      json.writeNumber(sums[group]);
    }
    json.writeEndObject();
  }

  private void writeContribution(JsonGenerator json, Change change, int rule) throws IOException {
    json.writeStartObject();
    json.writeFieldName(RULE);
    json.writeString(RULES[rule]);
    json.writeFieldName(GROUP);
    json.writeString(GROUPS[Pql100.GROUP_OF_RULE[rule]]);
    json.writeFieldName(POINTS);
    json.writeNumber(change.after()[rule]);
    json.writeFieldName(POINTS_BEFORE);
    json.writeNumber(change.before()[rule]);
    json.writeFieldName(POINTS_MAX);
    json.writeNumber(Pql100.POINTS_MAX[rule]);
    json.writeFieldName(INPUT);
    writeInput(json, change.lead(), rule);
    json.writeFieldName(MOVED_BY);
    Lead.Ref ref = change.lead().movedBy[rule];
    if (ref == null) {
      json.writeNull();
    } else {
      json.writeStartObject();
      json.writeFieldName(EVENT_ID);
      json.writeString(ref.eventId());
      writePlace(json, ref);
      json.writeEndObject();
    }
    json.writeEndObject();
  }

  private void writePlace(JsonGenerator json, Lead.Ref ref) throws IOException {
    json.writeFieldName(TOPIC);
    json.writeString(topic);
    json.writeFieldName(PARTITION);
    json.writeNumber(ref.partition());
    json.writeFieldName(OFFSET);
    json.writeNumber(ref.offset());
  }

  private static void writeInput(JsonGenerator json, Lead lead, int rule) throws IOException {
    switch (rule) {
      case 0 -> json.writeNumber(lead.features.count());
      case 1 -> json.writeNumber(lead.runs.count());
      case 2 -> json.writeString(lead.level.word);
      case 3 -> {
        if (lead.trialStartMs == Lead.UNSET || lead.firstSuccessMs == Lead.UNSET) {
          json.writeNull();
        } else {
          writeHundredths(json, Math.floorDiv(lead.firstSuccessMs - lead.trialStartMs, 10L));
        }
      }
      case 4 -> {
        json.writeStartObject();
        json.writeNumberField("community_posts", lead.posts.count());
        json.writeNumberField("feature_requests", lead.requests.count());
        json.writeEndObject();
      }
      case 5 -> json.writeBoolean(lead.tutorial);
      case 6 -> writeNumber(json, lead.teamSize);
      case 7 -> writeNumber(json, lead.revenue);
      default -> {
        json.writeStartObject();
        json.writeStringField("industry", lead.industry.word);
        json.writeStringField("segment", lead.segment.word);
        json.writeEndObject();
      }
    }
  }

  private static void writeNumber(JsonGenerator json, Lead.Latest value) throws IOException {
    if (!value.known()) {
      json.writeNull();
    } else if (value.number == Math.rint(value.number) && value.number < 1e18) {
      json.writeNumber((long) value.number);
    } else {
      writeHundredths(json, (long) Math.floor(value.number * 100));
    }
  }

  private static void writeHundredths(JsonGenerator json, long hundredths) throws IOException {
    if (hundredths % 100 == 0) {
      json.writeNumber(hundredths / 100);
    } else {
      json.writeNumber(hundredths / 100.0);
    }
  }

  private static String reason(Lead lead, int rule, int[] points) {
    return switch (rule) {
      case 0 -> lead.features.count() + " different features used";
      case 1 -> lead.runs.count() + " successful workflow runs";
      case 2 -> "Compliance level: " + lead.level.word;
      case 3 -> "First successful run " + duration(lead.firstSuccessMs - lead.trialStartMs) + " after the trial began";
      case 4 -> "Active in the community: forum posts " + lead.posts.count() + ", feature requests "
          + lead.requests.count();
      case 5 -> "Completed a tutorial";
      case 6 -> String.format(Locale.ROOT, "Team of %,d", (long) lead.teamSize.number);
      case 7 -> points[rule] == 5 ? "Yearly revenue below 10 million USD" : "Yearly revenue from 10 million USD";
      default -> Pql100.industryPoints(lead) >= Pql100.segmentPoints(lead)
          ? "Industry: " + lead.industry.word
          : "Enterprise customer";
    };
  }

  /** The largest unit that fits, cut: "45 minutes". */
  private static String duration(long ms) {
    long seconds = ms / 1000;
    long[] units = {86_400, 3_600, 60, 1};
    String[] names = {"day", "hour", "minute", "second"};
    for (int i = 0; i < units.length; i++) {
      if (seconds >= units[i]) {
        long count = seconds / units[i];
        return count + " " + names[i] + (count > 1 ? "s" : "");
      }
    }
    return "no time";
  }
}
