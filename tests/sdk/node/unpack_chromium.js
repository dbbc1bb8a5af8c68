// Unpacks the Chromium of @sparticuz/chromium, with the libraries that a small machine lacks, into
// the folder that TMPDIR names; prints its path. The package has it for AWS Lambda, whose name in
// the environment is what makes it unpack those libraries too.
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs22.x";
const { default: chromium } = await import("@sparticuz/chromium");
console.log(await chromium.executablePath());
