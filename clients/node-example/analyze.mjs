// Sends one image to nevus, prints every event as it comes and the result at the end. NOT FOR CLINICAL USE.
//
//   node analyze.mjs IMAGE [HOST:PORT]
//
// Exit codes: 0 succeeded; 1 refused or failed; 2 wrong usage; 3 no server, or it can't take jobs now.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const DEFAULT_TARGET = process.env.NEVUS_TARGET ?? "127.0.0.1:50051";
const PROTOS = process.env.PROTO_DIR ?? fileURLToPath(new URL("../../protos", import.meta.url));
const DEADLINE_S = 120;
const ATTEMPTS = 5;

// The contract imports google/api/field_behavior.proto and google/rpc/status.proto: this package ships them. The error
// details are not imported by the contract, but come with its errors.
const GOOGLE_PROTOS = dirname(createRequire(import.meta.url).resolve("google-proto-files/package.json"));

const definitions = protoLoader.loadSync(
  ["nevus/v1/analysis_service.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"],
  {
    includeDirs: [PROTOS, GOOGLE_PROTOS],
    keepCase: true, // field names as in the .proto files
    enums: String,
    longs: Number, // revisions and sizes lie far below 2**53
    arrays: true, // repeated fields are never undefined
    json: true, // google.protobuf.Any comes decoded, with its type under "@type"
  },
);
const { AnalysisService } = grpc.loadPackageDefinition(definitions).nevus.v1;

const FINAL = new Set(["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"]);

async function main([file, target = DEFAULT_TARGET, ...rest]) {
  if (!file || rest.length) {
    console.error("usage: node analyze.mjs IMAGE [HOST:PORT]");
    return 2;
  }
  let image;
  try {
    image = readFileSync(file);
  } catch (error) {
    console.error(`${file} can't be read: ${error.code}`);
    return 2;
  }
  const client = new AnalysisService(target, grpc.credentials.createInsecure());
  try {
    const job = await analyze(client, image, print);
    return report(job);
  } catch (error) {
    return explain(error, target);
  } finally {
    client.close();
  }
}

// Returns the finished job. Safe to repeat: the request id makes a repeated Analyze find the first one's job, and once
// an event has come, WatchJob goes on after the last revision that was seen.
async function analyze(client, image, onEvent) {
  const deadline = Date.now() + DEADLINE_S * 1000;
  const request = { image, options: {}, request_id: randomUUID() };
  let last; // the last event
  for (let attempt = 1; ; attempt++) {
    const stream = last
      ? client.WatchJob({ name: last.job, after_revision: last.revision }, { deadline })
      : client.Analyze(request, { deadline });
    try {
      for await (const { event } of stream) {
        onEvent(event);
        last = event;
      }
    } catch (error) {
      // Only UNAVAILABLE is worth repeating: a front end that drains, or a broker that is away for a moment.
      if (error.code !== grpc.status.UNAVAILABLE || attempt === ATTEMPTS || isRefused(error)) throw error;
      await sleep(retryDelayMs(error));
      continue;
    }
    if (FINAL.has(last?.state)) return last.snapshot;
    throw Object.assign(new Error("the stream ended before the job did"), { code: grpc.status.INTERNAL });
  }
}

// One line an event: revision, state, stage, and the regions as soon as they are known.
function print({ revision, state, stage, regions_found }) {
  const words = [state.replace("JOB_STATE_", "")];
  if (stage && stage !== "JOB_STAGE_UNSPECIFIED") words.push(stage.replace("JOB_STAGE_", ""));
  console.log(`${revision} ${words.join(" ")}`);
  for (const { box, area_px } of regions_found?.regions ?? []) {
    console.log(`  region x=${box.x ?? 0} y=${box.y ?? 0} ${box.width}x${box.height} px, area ${area_px} px`);
  }
}

// Prints the outcome. Returns the exit code.
function report(job) {
  if (job.state !== "JOB_STATE_SUCCEEDED") {
    console.error(`${job.state.replace("JOB_STATE_", "")}: ${describe(job.error)}`);
    return 1;
  }
  const { classification, provenance, intended_use } = job.result;
  const { label, probability, threshold, operating_point } = classification;
  console.log(`${label}: probability of malignancy ${probability.toFixed(4)}, threshold ${threshold} (${operating_point})`);
  console.log(`model ${provenance.model} ${provenance.version}, segmenter ${provenance.segmenter}, job ${job.name}`);
  console.log(intended_use.replace("INTENDED_USE_", "").replaceAll("_", " "));
  return 0;
}

// Prints why an RPC failed. Returns the exit code.
function explain(error, target) {
  if (error.code === undefined) throw error; // ours, not the server's
  const status = richStatus(error);
  if (isRefused(error)) {
    console.error(`no nevus at ${target}: ${error.details}`);
    return 3;
  }
  console.error(`${grpc.status[error.code]}: ${status ? describe(status) : (error.details ?? error.message)}`);
  return error.code === grpc.status.UNAVAILABLE ? 3 : 1;
}

// The google.rpc.Status behind an error of nevus: code, message, and details of the types in error_details.proto.
function richStatus(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  return bytes && definitions["google.rpc.Status"].deserialize(bytes);
}

function detail(status, type) {
  return status?.details?.find((packed) => packed["@type"]?.endsWith(`/google.rpc.${type}`));
}

// UNAVAILABLE without details comes from gRPC itself: nobody listens, or the connection broke before nevus answered.
function isRefused(error) {
  return error.code === grpc.status.UNAVAILABLE && !richStatus(error) && /ECONNREFUSED|No connection/.test(error.details);
}

function retryDelayMs(error) {
  const { seconds = 0, nanos = 0 } = detail(richStatus(error), "RetryInfo")?.retry_delay ?? { seconds: 1 };
  return seconds * 1000 + nanos / 1e6;
}

// "message [REASON]", then the fields that were wrong.
function describe(status) {
  const reason = detail(status, "ErrorInfo")?.reason ?? "no reason given";
  const fields = (detail(status, "BadRequest")?.field_violations ?? []).map(
    (violation) => `\n  ${violation.field}: ${violation.description}`,
  );
  return `${status.message} [${reason}]${fields.join("")}`;
}

process.exitCode = await main(process.argv.slice(2));
